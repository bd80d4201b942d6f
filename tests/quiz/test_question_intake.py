from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace

import pytest
from kept_questions import ORIGIN, OTHER, candidate, past, questions, take, taken

from vestnik.errors import StoreUnavailable
from vestnik.quiz import text_hash
from vestnik.quiz.intake import SLICE, Intake, TakeReport
from vestnik.quiz.model import Candidate, Origin, Reason, Status
from vestnik.quiz.question_ids import QuestionIds
from vestnik.quiz.store import intake as store
from vestnik.quiz.store import moderation, sending
from vestnik.runtime.clock import wall
from vestnik.storage.database import Database


async def test_what_passes_is_ready_and_kept_as_it_came(kept: Database) -> None:
    given = Candidate(
        text="Which river flows through &quot;Vienna&quot;?",
        correct=("Danube",),
        incorrect=("Rhine", "Elbe", "Oder"),
        category="Geography",
        difficulty="easy",
        explanation="It does.",
        tags=("rivers", "Austria"),
        external_id="17",
        author="A. Author",
        references=("https://first.test/17",),
    )
    before = wall()
    [question] = await taken(kept, given)
    assert (question.status, question.reasons, question.batch_id) == (Status.READY, (), None)
    assert question.content.text == 'Which river flows through "Vienna"?'
    assert (question.content.type, question.content.language) == ("multiple", "en")
    assert (question.content.correct, question.content.incorrect) == (given.correct, given.incorrect)
    assert (question.content.category, question.content.difficulty) == ("Geography", "easy")
    assert (question.content.explanation, question.content.tags) == ("It does.", ("rivers", "Austria"))
    assert (question.source.name, question.source.url, question.source.external_id) == ("first", ORIGIN.url, "17")
    assert (question.source.author, question.source.references) == ("A. Author", given.references)
    assert before <= question.source.fetched_at <= wall()
    assert question.licence is not None
    assert (question.licence.spdx, question.licence.attribution) == ("CC-BY-SA-4.0", "First")
    expected = text_hash.text_hash(given.text)
    assert expected is not None
    assert (question.hash, question.hash_version) == (expected.hex(), text_hash.CURRENT)


async def test_what_somebody_should_look_at_is_raw_with_its_reasons(kept: Database) -> None:
    [question] = await taken(kept, candidate(incorrect=("Rhine", "All of these")))
    assert question.status is Status.RAW
    assert set(question.reasons) == {Reason("R06", "2"), Reason("R08", "All of these")}


async def test_the_report_counts_by_outcome_and_rule(kept: Database) -> None:
    good, same = candidate(), candidate("Which is the same question?")
    report = await take(
        kept,
        good,
        same,
        same,
        candidate("Who wrote &lt;3 and when?"),
        candidate("Who is Emma", incorrect=("a", "b")),
        candidate("---"),
        candidate(correct=()),
    )
    assert (report.ready, report.raw, report.refused, report.fixed, report.taken) == (3, 1, 3, 1, 7)
    assert report.raw_by_rule == {"R06-few-options": 1, "R17-short": 1}
    assert report.refused_by_rule == {"R30-duplicate": 1, "R01-empty": 1, "R02-no-answer": 1}
    assert report.fixed_by_rule == {"R10-entities": 1}


async def test_taking_the_same_again_changes_nothing(kept: Database) -> None:
    given = [candidate() for _ in range(5)]
    before = await taken(kept, *given)
    again = await take(kept, *given)
    assert (again.refused, again.refused_by_rule) == (5, {"R30-duplicate": 5})
    assert await questions(kept) == before


@pytest.mark.parametrize(
    "copy",
    [
        "WHAT IS THE CAPITAL of Peru, then",
        "&#87;hat&nbsp;is the&amp;nbsp;capital of Peru: then",
        "What is the cap\u00adital of Peru, then?!",
        "<i>What</i> is the capital\nof Peru, then?",
    ],
)
async def test_a_copy_from_another_source_is_refused(kept: Database, copy: str) -> None:
    await take(kept, candidate("What is the capital of Peru, then?", correct=("Lima",)))
    report = await take(kept, candidate(copy, correct=("Lima",)), origin=OTHER)
    assert report.refused_by_rule == {"R30-duplicate": 1}
    assert report.demoted == 0
    assert len(await questions(kept)) == 1


async def test_two_sources_at_once_never_store_the_same(kept: Database) -> None:
    given = [candidate() for _ in range(3 * SLICE)]
    intake = Intake(kept)
    origins = [Origin(name=f"source-{number}", language="en") for number in range(4)]
    reports = await asyncio.gather(*(intake.take(origin, given) for origin in origins))
    assert sum(report.ready for report in reports) == len(given)
    assert sum(report.refused for report in reports) == 3 * len(given)
    assert await kept.read(lambda c: c.execute("SELECT count(*) FROM question").fetchone()[0]) == len(given)


async def test_a_sent_question_never_comes_back(kept: Database) -> None:
    [question] = await taken(kept, candidate("What is the capital of Peru?"))
    await kept.write(lambda c: sending.enter_batch(c, [question.id], "batch"))
    assert await kept.write(lambda c: sending.mark_exported(c, [question.id], "batch", 5.0)) == 1
    report = await take(kept, candidate("what is... the CAPITAL of Peru"), origin=OTHER)
    assert report.refused_by_rule == {"R30-duplicate": 1}
    [row] = await past(kept)
    assert (row["source"], row["batch_id"], row["exported_at"], row["rejected_at"]) == ("first", "batch", 5.0, None)
    assert row["hash"].hex() == question.hash


async def test_a_sent_question_is_found_under_the_version_that_it_was_hashed_with(
    kept: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    [question] = await taken(kept, candidate("What is the capital of Peru?"))
    await kept.write(lambda c: sending.enter_batch(c, [question.id], "batch"))
    await kept.write(lambda c: sending.mark_exported(c, [question.id], "batch", 5.0))
    later = {**text_hash.VERSIONS, 2: lambda text: b"2" * 31 + text.encode()[:1]}
    monkeypatch.setattr(text_hash, "VERSIONS", later)
    monkeypatch.setattr(store, "CURRENT", 2)
    report = await take(kept, candidate("What is the capital of Peru?"), candidate("Who wrote Emma, again?"))
    assert (report.ready, report.refused_by_rule) == (1, {"R30-duplicate": 1})
    [new] = await questions(kept)
    assert new.hash_version == 2


# -- near duplicates


async def test_almost_the_same_words_with_the_same_answer_become_raw(kept: Database) -> None:
    [first] = await taken(kept, candidate("Who directed the 1991 film Silence of the Lambs?", correct=("Demme",)))
    [second] = await taken(kept, candidate("Who directed the 1991 film The Silence of Lambs?", correct=("demme",)))
    assert first.reasons == ()
    assert second.reasons == (Reason("R31", first.id),)


@pytest.mark.parametrize(
    "other",
    [
        candidate("Which is the capital of Palau?", correct=("Ngerulmud",)),
        candidate("In which South American town is the palace of Peru?", correct=("Lima",)),
        candidate("Quelle est la capitale of Peru?", correct=("Lima",), language="fr"),
    ],
)
async def test_another_answer_or_language_or_wording_is_another_question(kept: Database, other: Candidate) -> None:
    await take(kept, candidate("Which is the capital of Peru?", correct=("Lima",)))
    assert (await take(kept, other)).ready == 1


async def test_near_duplicates_of_one_slice_are_found_too(kept: Database) -> None:
    given = [candidate(f"How many arms does an octopus have{end}?", correct=("8",)) for end in ("", " really")]
    report = await take(kept, *given)
    assert (report.ready, report.raw_by_rule) == (1, {"R31-near-duplicate": 1})


async def test_near_duplicates_are_left_alone_where_the_rule_is_off(kept: Database) -> None:
    origin = replace(ORIGIN, screening={"R31": False})
    given = [candidate(f"How many arms does an octopus have{end}?", correct=("8",)) for end in ("", " really")]
    assert (await take(kept, *given, origin=origin)).ready == 2


# -- the same text with another answer


async def test_another_answer_to_the_same_text_makes_the_kept_one_raw(kept: Database) -> None:
    [first] = await taken(kept, candidate("Which painter is Claude?", correct=("Monet",)))
    report = await take(kept, candidate("which painter is Claude", correct=("Debussy",)), origin=OTHER)
    assert (report.refused_by_rule, report.demoted) == ({"R30-duplicate": 1}, 1)
    [now] = await questions(kept)
    assert (now.id, now.status, now.reasons) == (first.id, Status.RAW, (Reason("R32", "Debussy (other)"),))


@pytest.mark.parametrize("answer", ["The Femur, Thighbone", "femur", "the femur."])
async def test_other_words_for_the_same_answer_are_no_conflict(kept: Database, answer: str) -> None:
    await take(kept, candidate("Which is the longest bone?", correct=("Femur",)))
    assert (await take(kept, candidate("Which is the longest bone?", correct=(answer,)), origin=OTHER)).demoted == 0


async def test_the_other_way_round_of_a_boolean_is_a_conflict(kept: Database) -> None:
    await take(kept, candidate("Is the Moon a planet, or not?", correct=("No",), incorrect=("Yes",)))
    report = await take(kept, candidate("Is the Moon a planet, or not?", correct=("True",), incorrect=("False",)))
    assert report.demoted == 1


async def test_what_a_moderator_approved_stays_ready(kept: Database) -> None:
    [first] = await taken(kept, candidate("Which painter is Claude?", correct=("Monet",)))
    await kept.write(lambda c: moderation.approve(c, first.id))
    other = candidate("Which painter is Claude?", correct=("Debussy",))
    assert (await take(kept, other, origin=OTHER)).demoted == 0
    [now] = await questions(kept)
    assert now.status is Status.READY


async def test_what_is_on_its_way_stays_as_it_is(kept: Database) -> None:
    [first] = await taken(kept, candidate("Which painter is Claude?", correct=("Monet",)))
    await kept.write(lambda c: sending.enter_batch(c, [first.id], "batch"))
    assert (await take(kept, candidate("Which painter is Claude?", correct=("Debussy",)))).demoted == 0


async def test_a_conflict_is_ignored_where_the_rule_is_off(kept: Database) -> None:
    await take(kept, candidate("Which painter is Claude?", correct=("Monet",)))
    origin = replace(OTHER, screening={"R32-other-answer": False})
    assert (await take(kept, candidate("Which painter is Claude?", correct=("Debussy",)), origin=origin)).demoted == 0


# -- hostile input, and an unwell store


async def test_dirt_of_all_kinds_is_stored_or_refused_and_never_raises(kept: Database) -> None:
    dirt = ["\x00", "\ud800", "\udfff\ud800", "\ufffe", "'; DROP TABLE question; --", "=cmd|' /C calc'!A0", "\x1b[31m"]
    given = [candidate(f"What does {text} stand for, {n}?", correct=(f"a{text}",)) for n, text in enumerate(dirt)]
    report = await take(kept, *given)
    assert report.ready + report.raw == len(dirt)
    assert all("\x00" not in question.content.text for question in await questions(kept))


async def test_a_store_that_cannot_take_more_says_so_and_keeps_what_it_has(kept: Database) -> None:
    class Full:
        def __init__(self) -> None:
            self.reports: list[TakeReport] = []

        def took(self, source: str, report: TakeReport) -> None:
            self.reports.append(report)
            other.execute("BEGIN IMMEDIATE")  # another process takes the lock after the first slice

    assert kept.path
    await kept.maintain(lambda c: c.execute("PRAGMA busy_timeout = 20"))
    other = sqlite3.connect(kept.path, isolation_level=None)
    observer = Full()
    with pytest.raises(StoreUnavailable):
        await Intake(kept, observer=observer).take(ORIGIN, [candidate() for _ in range(2 * SLICE)])
    other.close()
    assert [report.ready for report in observer.reports] == [SLICE]
    assert len(await questions(kept)) == SLICE


async def test_nothing_given_is_nothing_taken(kept: Database) -> None:
    assert await take(kept) == TakeReport()


# -- ids


def test_ids_are_uuids_of_version_7_in_the_order_in_which_they_are_made() -> None:
    times = iter([10.0, 10.0, 9.0, 11.0])
    ids = QuestionIds(lambda: next(times, 12.0))
    made = [ids.next() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(id_[14] == "7" and id_[19] in "89ab" for id_ in made)
