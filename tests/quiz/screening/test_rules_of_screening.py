"""Every rule by its name: a question that it finds, one close to it that it leaves alone, and its switch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from vestnik.quiz.model import Candidate, Media, Origin
from vestnik.quiz.screening import rules
from vestnik.quiz.screening.rules import Effect, Rule
from vestnik.quiz.screening.screening import Refused, Screened, screen
from vestnik.sandbox.quiz_questions import DOUBTFUL

GOOD = Candidate(
    text="Which river flows through Vienna?", correct=("Danube",), incorrect=("Rhine", "Elbe", "Oder"), language="en"
)
OPEN = Candidate(text="В каком городе стоит Медный всадник?", correct=("Санкт-Петербург",), language="ru")
PICTURE = Media(role="question", kind="image", url="https://img.test/a.png")
ORIGIN = Origin(name="test")


@dataclass(frozen=True)
class Case:
    """`hit` is found by the rule, `miss` is not."""

    rule: Rule
    hit: Candidate
    miss: Candidate
    origin: Origin = ORIGIN

    def __str__(self) -> str:
        return self.rule.name


def case(rule: Rule, hit: dict[str, Any], miss: dict[str, Any], *, of: Candidate = GOOD) -> Case:
    return Case(rule, replace(of, **hit), replace(of, **miss))


CASES = [
    case(rules.EMPTY, {"text": "-- ?!"}, {"text": "C?"}),
    case(rules.NO_ANSWER, {"correct": (" ", "")}, {"correct": ("0",)}),
    case(rules.SYMBOLS_ONLY, {"correct": ("?:",)}, {"correct": ("7",)}),
    case(rules.REPEATED_OPTION, {"incorrect": ("a", "B", " b")}, {"incorrect": ("?", "??", "b")}),
    case(
        rules.CORRECT_AMONG_INCORRECT,
        {"correct": ("cos(x)",), "incorrect": ("sin(x)", "COS(x)", "0")},
        {"correct": ("cos(x)",), "incorrect": ("sin(x)", "-cos(x)", "0")},
    ),
    case(rules.EMPTY_OPTION, {"incorrect": ("a", "b", "&nbsp;", "c")}, {}),
    case(rules.FEW_OPTIONS, {"incorrect": ("a", "b")}, {"correct": ("No",), "incorrect": ("Yes",)}),
    case(rules.MANY_OPTIONS, {"incorrect": ("a", "b", "c", "d")}, {}),
    case(
        rules.NOT_TRUE_OR_FALSE,
        {"type": "boolean", "correct": ("Maybe",), "incorrect": ("Never",)},
        {"type": "boolean", "correct": ("false",), "incorrect": ()},
    ),
    case(
        rules.ALL_OF_THE_ABOVE,
        {"incorrect": ("Rhine", "Elbe", "None of these")},
        {"incorrect": ("Rhine", "Elbe", "All the President's Men")},
    ),
    case(rules.SEVERAL_CORRECT, {"correct": ("Danube", "Wien")}, {}),
    case(rules.ENTITIES, {"text": "Who wrote &amp;quot;Emma&amp;quot;?"}, {"text": "What does R&D or ?a&copy=1 mean?"}),
    case(
        rules.MARKUP,
        {"text": "Who wrote &lt;i&gt;Emma&lt;/i&gt;?"},
        {"text": "What is <br> for?", "correct": ("<br>",), "incorrect": ("<b></b>", "x < y", "a<b>c")},
    ),
    case(rules.MOJIBAKE, {"text": "Who wrote â€œEmma in 1815?"}, {"text": "Que fait-on à l'âge de « SÃO » ?"}),
    case(rules.CONTROL_CHARACTERS, {"text": "Who\x00 wrote Emma in 1815?"}, {"text": "Who\nwrote Emma\tin 1815?"}),
    case(
        rules.INVISIBLE, {"text": "Who wrote Em\u00adma\u200b in 1815?"}, {"text": "What is 👨\u200d👩\u200d👧 called?"}
    ),
    case(
        rules.LOST_LETTER,
        {"text": "Where was Claude S ?rillon born?"},
        {"text": "Who? Where, and https://x.test/?q=a?"},
    ),
    case(rules.CP1252, {"text": "Who wrote Jane\x92s Emma?"}, {"text": "Who wrote Jane’s Emma?"}),
    case(
        rules.MEDIA,
        {"media": (PICTURE,)},
        {"text": "Which band sang Video Killed the Star?", "media": (replace(PICTURE, role="explanation"),)},
    ),
    case(rules.URL_IN_QUESTION, {"text": "Who runs https://example.test/ now?"}, {"text": "Who runs that web page?"}),
    case(rules.HOST_NOTES, {"text": "[Ведущему: читать медленно] Кто это был?"}, {"text": "Кто [он] был?"}, of=OPEN),
    case(rules.OPTIONS_MISSING, {"text": "Какой из этих городов старше?"}, {}, of=OPEN),
    case(rules.LONG, {"text": "x" * 30 + " y" * 136}, {"text": "x" * 28 + " y" * 136}),
    case(rules.TOO_LONG, {"text": "x" * 1001}, {"text": "x" * 1000}),
    case(rules.SHORT, {"text": "Who is Emma"}, {"text": "Who is Emma?"}),
    case(rules.LONG_ANSWER, {"correct": ("x" * 101,)}, {"correct": ("x" * 100,)}),
    case(rules.LONG_OPTION, {"incorrect": ("a", "b", "x" * 101)}, {"incorrect": ("a", "b", "x" * 100)}),
    case(
        rules.ANSWER_IN_QUESTION,
        {"text": "Where is the mouth of the Danube river?", "correct": ("The Danube",)},
        {"text": "Which is the longest: Danube, Rhine, Elbe or Oder?"},
    ),
    case(
        rules.TIME_DEPENDENT,
        {"text": "Who is currently the mayor of Vienna?"},
        {"text": "What is measured in units of electric current?"},
    ),
    case(
        rules.INDECENT,
        {"incorrect": ("Rhine", "Elbe", "Shit")},
        {"incorrect": ("Moby Dick", "Scunthorpe", "Shiitake")},
    ),
    case(rules.WRONG_SCRIPT, {"language": "ru"}, {"text": "2 + 2 = ? -- 3 x 3 = ?", "language": "ru"}),
    case(rules.MIXED_ALPHABETS, {"text": "Kто написал «Мёртвые дyши»?"}, {"text": "Что такое YouTube-канал?"}, of=OPEN),
    case(rules.SHOUTING, {"text": "WHO WROTE EMMA?"}, {"text": "WHO is who?"}),
    case(
        rules.TITLE_CASE,
        {"text": "Who Was The First Man To Walk On The Moon?"},
        {"text": 'Who wrote "The Lord Of The Rings"?'},
    ),
    case(rules.WHITESPACE, {"text": "Who\nwrote\u00a0Emma ?"}, {"text": "Who wrote Emma ?"}),
    case(rules.FINAL_PERIOD, {"correct": ("В Петербурге.",)}, {"correct": ("Мартин Лютер Кинг мл.",)}, of=OPEN),
    case(rules.SEVERAL_QUESTIONS, {"text": "Блиц. 1. Кто? 2. Где? 3. Когда?"}, {"text": "Кто 1. бежал?"}, of=OPEN),
    case(rules.UNKNOWN_LANGUAGE, {"language": None}, {"language": "EN-us"}),
    case(
        rules.WITHDRAWN, {"text": "Кто это? (Вопрос снят АЖ)"}, {"text": "Какой фильм был снят в 1925 году?"}, of=OPEN
    ),
    Case(rules.LICENCE, GOOD, GOOD, Origin(name="test", licence="CC-BY-NC-4.0")),
]
WITH_THE_OTHERS = {rules.DUPLICATE, rules.NEAR_DUPLICATE, rules.OTHER_ANSWER, rules.REFUSED_BY_SERVER}


def found(candidate: Candidate, origin: Origin) -> set[str]:
    """The names of all rules that found something."""
    result = screen(candidate, origin)
    if isinstance(result, Refused):
        return {result.rule.name}
    return {rules.BY_CODE[reason.code].name for reason in result.reasons} | {rule.name for rule in result.repaired}


def kept(candidate: Candidate, **origin: Any) -> Screened:
    result = screen(candidate, Origin(name="test", **origin))
    assert isinstance(result, Screened), result
    return result


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (rules.TIME_DEPENDENT, "Who is the current mayor of Vienna?"),
        (rules.TIME_DEPENDENT, "What is Vienna's current population?"),
        (rules.TIME_DEPENDENT, "Who is the reigning champion?"),
        (rules.MOJIBAKE, "Which city is known as CittÃ\u00a0 Eterna?"),
        (rules.MOJIBAKE, "Qui est dÃ©jÃ ?"),
    ],
)
def test_a_rule_finds_other_wordings_too(rule: rules.Rule, text: str) -> None:
    assert rule.name in found(replace(GOOD, text=text), Origin(name="test"))


@pytest.mark.parametrize(
    "text",
    [
        "What opposes the current in a wire?",
        "Which way does the current flow?",
        "How large is the current through it?",
        "AMANHÃ e depois?",
    ],
)
def test_a_current_is_no_time_and_a_capital_with_a_tilde_no_wrong_encoding(text: str) -> None:
    assert not {rules.TIME_DEPENDENT.name, rules.MOJIBAKE.name} & found(replace(GOOD, text=text), Origin(name="test"))


def test_every_rule_has_a_case() -> None:
    assert {each.rule for each in CASES} | WITH_THE_OTHERS == set(rules.RULES)
    assert len({rule.code for rule in rules.RULES}) == len(rules.RULES)


@pytest.mark.parametrize("each", CASES, ids=str)
def test_a_rule_finds_its_question(each: Case) -> None:
    assert each.rule.name in found(each.hit, each.origin)


@pytest.mark.parametrize("each", CASES, ids=str)
def test_a_rule_leaves_a_close_one_alone(each: Case) -> None:
    assert each.rule.name not in found(each.miss, Origin(name="test", licence="CC-BY-SA-4.0"))


@pytest.mark.parametrize("each", CASES, ids=str)
@pytest.mark.parametrize("by", ["code", "name"])
def test_a_rule_is_switched_off_for_a_source_unless_nothing_could_be_stored(each: Case, by: str) -> None:
    origin = replace(each.origin, screening={getattr(each.rule, by): False})
    assert (each.rule.name in found(each.hit, origin)) == each.rule.always


@pytest.mark.parametrize("each", CASES, ids=str)
def test_a_rule_does_what_its_effect_says(each: Case) -> None:
    result = screen(each.hit, each.origin)
    assert isinstance(result, Refused) == (each.rule.effect is Effect.REFUSE)
    if isinstance(result, Screened) and each.rule.effect is Effect.REPAIR:
        assert each.rule in result.repaired
        assert each.rule.code not in [reason.code for reason in result.reasons]


def test_a_good_question_passes_as_it_is() -> None:
    for candidate in (GOOD, OPEN):
        result = kept(candidate)
        assert (result.reasons, result.repaired) == ((), ())
        assert (result.content.text, result.content.correct) == (candidate.text, candidate.correct)


def test_names_that_are_no_rules_or_cannot_be_switched_off_are_told() -> None:
    names = ["R08", "R08-all-of-the-above", "R8", "R30-duplicate", "R01"]
    assert rules.not_switchable(names) == ["R8", "R30-duplicate", "R01"]


# -- refusals


@pytest.mark.parametrize(
    "text",
    [
        "Кто изображён? (pic: 20180047.jpg)",
        "<раздатка>Текст</раздатка> Кто автор?",
        "Перед вами портрет. Чей он?",
        "What is in this picture?",
        "Which flag is shown below?",
        "What ability is this? https://i.imgur.com/abc",
        "What is it: https://x.test/a.JPG ?",
        "Que voit-on sur cette image ?",
    ],
)
def test_what_needs_media_is_refused_or_kept_with_it(text: str) -> None:
    candidate = replace(GOOD, text=text, media=(PICTURE,))
    assert found(candidate, Origin(name="test")) == {"R13-media"}
    assert kept(candidate, screening={"R13": False}).content.media == (PICTURE,)


@pytest.mark.parametrize(
    "parts",
    [
        {"text": "x" * 20_000},
        {"explanation": "x" * 20_000},
        {"correct": ("x" * 10_000,) * 2},
        {"tags": ("x",) * 51},
        {"incorrect": tuple(map(str, range(51)))},
        {"media": (PICTURE,) * 51},
    ],
)
def test_what_is_beyond_measure_is_refused_even_with_the_rule_off(parts: dict[str, Any]) -> None:
    assert found(replace(GOOD, **parts), Origin(name="test", screening={"R16b": False})) == {"R16b-too-long"}


def test_a_source_can_withdraw_a_question() -> None:
    assert found(replace(GOOD, withdrawn=True), Origin(name="test")) == {"R29-withdrawn"}


# -- what is repaired, and how


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("Which band sang &quot;Rio&quot;?", 'Which band sang "Rio"?'),
        ("&amp;amp;lt;3 or &#x1F600; &#128512; &eacute;?", "<3 or 😀 😀 é?"),
        ("Llanfair&shy;pwll&lrm; where?", "Llanfairpwll where?"),
        ("Jane\x92s \x93Emma\x94 \x96 by?", "Jane’s “Emma” – by?"),
        ("Кто\nнаписал\r\n  Войну\u00a0и мир?", "Кто написал Войну и мир?"),
        ("Who wrote <b>Emma</b>,<br/>and when?", "Who wrote Emma, and when?"),
        ("Who <!-- aside --> wrote <script>Emma</script> it?", "Who wrote Emma it?"),
        ("First line<br>second line<p>third?</p>", "First line second line third?"),
        ("Cоветский Coюз: какой год, MocкBa?", "Советский Союз: какой год, МоскВа?"),
        ("Which river flows through Mоscоw, London?", "Which river flows through Moscow, London?"),
        ("What Is The Capital Of Peru?", "What is the Capital of Peru?"),
        ("Is It? The Man Who Is In It?", "Is it? The Man who is in it?"),
        ("Quel Est Le Nom De La Ville?", "Quel est le Nom de la Ville?"),
        ("\ud83d broken surrogate, what is it?", "\ufffd broken surrogate, what is it?"),
    ],
)
def test_texts_are_repaired(given: str, becomes: str) -> None:
    assert kept(replace(GOOD, text=given)).content.text == becomes


@pytest.mark.parametrize("answer", ["<h1>", "<marquee></marquee>", "</body>", "&lt;br /&gt;", "<!-- -->", "a < b"])
def test_an_answer_about_html_is_left_as_it_is(answer: str) -> None:
    result = kept(replace(GOOD, correct=(answer,)))
    assert result.content.correct == (answer.replace("&lt;", "<").replace("&gt;", ">"),)
    assert "R11" not in [reason.code for reason in result.reasons]


@pytest.mark.parametrize("answer", ["Вена.", "и т. д.", "U.S.", "Louis XIV.", "Одно. Другое.", "Texas Corp.", "…"])
def test_only_a_period_that_ends_a_sentence_is_taken_off(answer: str) -> None:
    assert kept(replace(OPEN, correct=(answer,))).content.correct == ("Вена" if answer == "Вена." else answer,)


def test_options_keep_their_periods() -> None:
    assert kept(replace(GOOD, correct=("He left.",))).content.correct == ("He left.",)


# -- types


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"correct": ("yes",), "incorrect": ("No",)}, ("boolean", ("True",), ("False",))),
        ({"correct": ("Faux",), "incorrect": ("Vrai",)}, ("boolean", ("False",), ("True",))),
        ({"correct": ("да",), "incorrect": ("нет",)}, ("boolean", ("True",), ("False",))),
        ({"correct": ("True",), "incorrect": (), "type": "boolean"}, ("boolean", ("True",), ("False",))),
        ({"correct": ("yes",), "incorrect": ("False",)}, ("multiple", ("yes",), ("False",))),
        ({"correct": ("True",), "incorrect": ()}, ("open", ("True",), ())),
        ({"type": "open"}, ("multiple", ("Danube",), GOOD.incorrect)),
        ({"type": "multiple", "incorrect": ()}, ("multiple", ("Danube",), ())),
        ({"type": "nonsense"}, ("multiple", ("Danube",), GOOD.incorrect)),
    ],
)
def test_the_type_is_what_the_answers_are(parts: dict[str, Any], expected: tuple[str, Any, Any]) -> None:
    content = kept(replace(GOOD, **parts)).content
    assert (content.type.value, content.correct, content.incorrect) == expected


def test_unknown_stays_none_and_repeated_tags_are_one() -> None:
    candidate = replace(
        GOOD, category=" ", explanation="&nbsp;", difficulty="so-so", tags=("a", " a", ""), accepted=("",)
    )
    content = kept(candidate).content
    assert (content.category, content.explanation, content.difficulty) == (None, None, None)
    assert (content.tags, content.accepted) == (("a",), ())
    assert kept(replace(GOOD, difficulty=" HARD ")).content.difficulty == "hard"


def test_the_language_is_the_sources_where_the_question_names_none() -> None:
    assert kept(replace(GOOD, language=None), language="en").content.language == "en"
    assert kept(replace(GOOD, language="fr"), language="en").content.language == "fr"
    assert kept(replace(GOOD, language="what?")).content.language is None


# -- what is shown


def test_a_reason_shows_what_was_found_in_bounds() -> None:
    long = "www." + "x" * 200
    [reason] = kept(replace(GOOD, text=f"Who runs {long} there?")).reasons
    assert reason.code == "R13b"
    assert reason.detail is not None
    assert len(reason.detail) == 100
    assert kept(replace(GOOD, text="Who is Emma")).reasons[0].detail is None


def test_a_question_can_be_raw_for_several_reasons() -> None:
    result = kept(replace(GOOD, text="Who is he now", incorrect=("a", "Both"), language=None))
    assert {reason.code for reason in result.reasons} == {"R06", "R08", "R28"}


def test_the_sandbox_has_questions_for_moderators() -> None:
    for asked in DOUBTFUL:
        candidate = Candidate(text=asked.text, correct=(asked.correct,), incorrect=asked.incorrect, language="en")
        assert kept(candidate).reasons, asked.text
