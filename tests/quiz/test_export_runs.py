"""Runs of the exporter against the sandbox's main server, and against servers that are worse."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from exports import add_ready, counts, statuses
from prometheus_client import CollectorRegistry

from vestnik.errors import StoreUnavailable
from vestnik.quiz.export import batches
from vestnik.quiz.export.batches import STUCK
from vestnik.quiz.export.exporter import Exporter, ExportStopped, PutOff, Sent
from vestnik.quiz.export.main_server import MAX_BODY, NO_REASON, MainServer
from vestnik.quiz.export.metrics import ExportMetrics
from vestnik.quiz.export.settings import ExportSettings
from vestnik.quiz.export.streaks import MOST_REFUSED, MOST_UNCLEAR
from vestnik.quiz.model import QuestionId, Reason
from vestnik.quiz.store import moderation
from vestnik.quiz.store.intake import add_reasons
from vestnik.sandbox.far_side import Fault
from vestnik.sandbox.quiz_server import MainQuizServer
from vestnik.sandbox.sandbox import Sandbox
from vestnik.sandbox.settings import SandboxSettings
from vestnik.settings.values import Address
from vestnik.storage.database import Database
from vestnik.storage.migrations.upgrade import upgrade

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Setup:
    """An exporter over a database of its own, and what it did."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ending = False
        self.time = Time()
        self.registry = CollectorRegistry()
        self._servers: list[MainServer] = []

    def exporter(self, url: str, **changes: Any) -> Exporter:
        settings = ExportSettings.model_validate(
            {"url": url, "key": "sandbox-key", "timeout": "1s", "mode": "TIMER", "interval": 1000, **changes}
        )
        self.registry = CollectorRegistry()
        server = MainServer(settings)
        self._servers.append(server)
        metrics = ExportMetrics(self.registry)
        return Exporter(settings, self.database, server, metrics, clock=self.time)

    def is_ending(self) -> bool:
        return self.ending

    async def add(self, count: int, text: str = "How many is {}?") -> None:
        await self.database.write(lambda c: add_ready(c, count, text=text))

    async def counts(self) -> dict[str, int]:
        return await self.database.read(counts)

    async def reasons(self) -> dict[str, int]:
        """How many questions have each."""
        return await self.database.read(
            lambda c: dict(c.execute("SELECT code, count(*) FROM question_reason GROUP BY code").fetchall())
        )

    async def open_batches(self) -> int:
        return (await self.database.read(batches.backlog)).open_batches

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    async def close(self) -> None:
        for server in self._servers:
            await server.close()


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    database = Database(tmp_path / "v.db")
    await database.open()
    await database.maintain(upgrade)
    found = Setup(database)
    yield found
    await found.close()
    await database.close()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    anywhere = Address("127.0.0.1", 0)
    found = Sandbox(SandboxSettings(listen=anywhere, smtp=anywhere))
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
def main(sandbox: Sandbox) -> MainQuizServer:
    found = sandbox.far_sides["main"]
    assert isinstance(found, MainQuizServer)
    return found


@pytest.fixture
def url(sandbox: Sandbox) -> str:
    return f"{sandbox.url}/main/questions"


@asynccontextmanager
async def answering(handler: Answering) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/", handler)
    async with TestServer(application) as server:
        yield str(server.make_url("/"))


def received(main: MainQuizServer) -> Counter[str]:
    return Counter(arrival.details["hash"] for arrival in main.inbox.arrivals())


def each_once(main: MainQuizServer, count: int) -> bool:
    return len(received(main)) == count and set(received(main).values()) == {1}


# the plain way


@pytest.mark.parametrize("answer", ["", "?answer=bare"])
async def test_everything_that_is_ready_is_sent_in_batches_and_forgotten(
    setup: Setup, main: MainQuizServer, url: str, answer: str
) -> None:
    await setup.add(12)
    exporter = setup.exporter(url + answer)
    await exporter.run(setup.is_ending)
    assert sorted(Counter(arrival.reference for arrival in main.inbox.arrivals()).values()) == [2, 5, 5]
    assert each_once(main, 12)
    assert await setup.counts() == {"raw": 0, "ready": 0, "exported": 12, "rejected": 0}
    assert await setup.open_batches() == 0
    assert setup.metric("vestnik_export_questions_total", outcome="acknowledged") == 12
    assert setup.metric("vestnik_export_requests_total", end="taken") == 3
    assert exporter.sent == Sent(batches=3, taken=12, invalid=0)


async def test_with_nothing_ready_nothing_is_sent(setup: Setup, main: MainQuizServer, url: str) -> None:
    await setup.exporter(url).run(setup.is_ending)
    assert main.inbox.arrivals() == []


async def test_the_key_stands_in_the_header_of_choice(setup: Setup, main: MainQuizServer, url: str) -> None:
    main.key_header = "X-Quiz-Key"
    await setup.add(1)
    await setup.exporter(url, key_header="X-Quiz-Key").run(setup.is_ending)
    assert each_once(main, 1)


async def test_the_request_is_what_was_agreed(setup: Setup) -> None:
    seen: list[web.Request] = []
    bodies: list[dict[str, Any]] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(request)
        bodies.append(await request.json())
        return web.Response(status=204)

    await setup.add(2)
    async with answering(note) as address:
        await setup.exporter(address).run(setup.is_ending)
    [request], [body] = seen, bodies
    assert request.headers["Authorization"] == "Bearer sandbox-key"
    assert request.headers["Idempotency-Key"] == body["batch_id"]
    assert request.content_type == "application/json"
    assert len(body["questions"]) == 2


async def test_a_question_already_known_there_is_gone_here(setup: Setup, main: MainQuizServer, url: str) -> None:
    await setup.add(1, "Twice?")
    await setup.exporter(url).run(setup.is_ending)
    # As if this database had forgotten it.
    await setup.database.write(lambda c: c.execute("DELETE FROM past_question").rowcount)
    await setup.add(1, "Twice?")
    await setup.exporter(url).run(setup.is_ending)
    assert each_once(main, 1)
    assert await setup.counts() == {"raw": 0, "ready": 0, "exported": 2, "rejected": 0}


async def test_an_invalid_question_goes_to_the_moderators_and_is_not_sent_again(
    setup: Setup, main: MainQuizServer, url: str
) -> None:
    await setup.add(2)
    await setup.add(1, "Is {} [unwanted]?")
    exporter = setup.exporter(url)
    await exporter.run(setup.is_ending)
    await exporter.run(setup.is_ending)
    assert each_once(main, 2)
    assert await setup.counts() == {"raw": 1, "ready": 0, "exported": 2, "rejected": 0}
    assert setup.metric("vestnik_export_questions_total", outcome="refused") == 1


# an end that was not seen


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.GARBAGE])
async def test_an_answer_lost_after_storing_has_the_same_batch_sent_again(
    setup: Setup, main: MainQuizServer, url: str, fault: Fault
) -> None:
    await setup.add(7)
    exporter = setup.exporter(url)
    main.fault = fault
    with pytest.raises(PutOff):
        await exporter.run(setup.is_ending)
    assert (await setup.counts())["ready"] == 7
    assert len(main.inbox.arrivals()) == 5
    main.fault = Fault.NONE
    await exporter.run(setup.is_ending)
    assert each_once(main, 7)
    assert main.replays == 1
    assert (await setup.counts())["exported"] == 7


async def test_an_answer_that_comes_too_late_has_the_same_batch_sent_again(
    setup: Setup, main: MainQuizServer, url: str
) -> None:
    main.fault, main.slow_seconds = Fault.SLOW, 1.3
    await setup.add(1)
    exporter = setup.exporter(url)
    with pytest.raises(PutOff, match="no answer within 1 s"):
        await exporter.run(setup.is_ending)
    async with asyncio.timeout(60):
        await main.inbox.wait_for(1)
    main.fault = Fault.NONE
    await exporter.run(setup.is_ending)
    assert each_once(main, 1)


async def test_every_try_is_the_same_bytes_under_the_same_key_also_after_a_restart(setup: Setup) -> None:
    tries: list[tuple[str, bytes]] = []

    async def fail_first(request: web.Request) -> web.Response:
        tries.append((request.headers["Idempotency-Key"], await request.read()))
        return web.Response(status=500 if len(tries) < 3 else 200)

    await setup.add(3)
    async with answering(fail_first) as address:
        for _ in range(2):
            with pytest.raises(PutOff):
                await setup.exporter(address).run(setup.is_ending)
            await setup.add(3)
        await setup.exporter(address).run(setup.is_ending)
    assert len(set(tries[:3])) == 1
    assert len(tries) == 5
    assert (await setup.counts())["exported"] == 9


async def test_half_an_answer_is_no_yes(setup: Setup) -> None:
    tries = 0

    async def break_off(request: web.Request) -> web.StreamResponse:
        nonlocal tries
        tries += 1
        await request.read()
        if tries > 1:
            return web.Response(status=200)
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"results": [')
        assert request.transport is not None
        request.transport.close()
        return response

    await setup.add(1)
    async with answering(break_off) as address:
        exporter = setup.exporter(address)
        with pytest.raises(PutOff):
            await exporter.run(setup.is_ending)
        assert (await setup.counts())["ready"] == 1
        await exporter.run(setup.is_ending)
    assert (await setup.counts())["exported"] == 1


async def test_an_answer_that_repeats_all_it_took_is_read_to_its_end(setup: Setup) -> None:
    async def wordy(_: web.Request) -> web.Response:
        return web.json_response({"success": True, "data": {"questions": ["x" * 1000] * 200}})

    await setup.add(1)
    async with answering(wordy) as address:
        await setup.exporter(address).run(setup.is_ending)
    assert (await setup.counts())["exported"] == 1


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"status": "error"}'),
        ("application/json", b'{"success": true'),
        ("application/json", b"\xff\xfe"),
        ("text/plain", "Идут технические работы".encode()),
        ("text/html", b"<!DOCTYPE html><title>Hotel Wi-Fi</title><form>Sign in</form>"),
        ("image/png", b"\x89PNG\r\n\x1a\n"),
    ],
)
async def test_what_is_no_yes_has_the_same_batch_sent_again_for_ever_with_an_alarm_and_loses_nothing(
    setup: Setup, caplog: pytest.LogCaptureFixture, content_type: str, body: bytes
) -> None:
    tries: list[tuple[str, bytes]] = []
    answer = web.Response(body=body, content_type=content_type)

    async def say(request: web.Request) -> web.Response:
        tries.append((request.headers["Idempotency-Key"], await request.read()))
        return web.Response(body=answer.body, content_type=answer.content_type)

    await setup.add(3)
    async with answering(say) as address:
        exporter = setup.exporter(address)
        for _ in range(MOST_UNCLEAR - 1):
            with pytest.raises(PutOff, match="that is no yes") as put_off:
                await exporter.run(setup.is_ending)
            assert "in a row" not in str(put_off.value)
        assert "export unclear" not in caplog.text
        with pytest.raises(PutOff, match=f"{MOST_UNCLEAR} tries in a row ended unclear"):
            await exporter.run(setup.is_ending)
        assert "export unclear" in caplog.text
        assert setup.metric("vestnik_export_unclear_in_a_row") == MOST_UNCLEAR
        assert await setup.counts() == {"raw": 0, "ready": 3, "exported": 0, "rejected": 0}
        answer = web.Response(body=b'{"status": "ok"}', content_type="application/json")
        await exporter.run(setup.is_ending)
    assert len(set(tries)) == 1
    assert len(tries) == MOST_UNCLEAR + 1
    assert setup.metric("vestnik_export_unclear_in_a_row") == 0
    assert (await setup.counts())["exported"] == 3


async def test_the_log_and_the_error_of_the_job_show_what_came_and_of_a_page_its_title(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    async def sign_in(_: web.Request) -> web.Response:
        page = f"<!doctype html><html><title>Sign in\x1b[31m to sandbox-key</title>{'x' * 100_000}</html>"
        return web.Response(text=page, content_type="text/html")

    await setup.add(1)
    async with answering(sign_in) as address:
        with pytest.raises(PutOff) as put_off:
            await setup.exporter(address).run(setup.is_ending)
    reason = str(put_off.value)
    assert 'answered 200: an HTML page ("Sign in [31m to ***")' in reason
    assert len(reason) < 300
    assert "Sign in [31m to ***" in caplog.text


async def test_results_that_name_no_question_are_shown(setup: Setup) -> None:
    async def vague(_: web.Request) -> web.Response:
        return web.json_response({"results": [{"status": "stored"}]})

    await setup.add(1)
    async with answering(vague) as address:
        with pytest.raises(PutOff, match=r'what became of 1 of 1 questions: .*"stored"'):
            await setup.exporter(address).run(setup.is_ending)
    assert setup.metric("vestnik_export_unclear_in_a_row") == 1


async def test_an_endless_answer_is_no_yes(setup: Setup) -> None:
    async def endless(_: web.Request) -> web.Response:
        return web.Response(body=b'{"a": "' + b"x" * (MAX_BODY + 1) + b'"}')

    await setup.add(1)
    async with answering(endless) as address:
        with pytest.raises(PutOff, match="that is no yes"):
            await setup.exporter(address).run(setup.is_ending)
    assert (await setup.counts())["ready"] == 1


async def test_results_for_some_questions_only_leave_the_others_in_the_batch(setup: Setup) -> None:
    sent: list[bytes] = []

    async def forgetful(request: web.Request) -> web.Response:
        sent.append(await request.read())
        said = [{"index": n, "status": "created"} for n in range(2 * len(sent))]
        return web.json_response({"results": said})

    await setup.add(4)
    async with answering(forgetful) as address:
        exporter = setup.exporter(address)
        with pytest.raises(PutOff, match="did not say what became of 2 of 4 questions"):
            await exporter.run(setup.is_ending)
        assert (await setup.counts())["ready"] == 2
        await exporter.run(setup.is_ending)
    assert sent[0] == sent[1]
    assert (await setup.counts())["exported"] == 4


async def test_a_server_that_is_not_there_loses_nothing(setup: Setup, unused_tcp_port: int) -> None:
    await setup.add(1)
    with pytest.raises(PutOff, match="Cannot connect"):
        await setup.exporter(f"http://127.0.0.1:{unused_tcp_port}/").run(setup.is_ending)
    assert (await setup.counts())["ready"] == 1


async def test_a_yes_that_cannot_be_written_down_is_asked_for_again(
    setup: Setup, main: MainQuizServer, url: str
) -> None:
    await setup.add(1)
    exporter = setup.exporter(url)
    main.fault, main.slow_seconds = Fault.SLOW, 0.2
    run = asyncio.create_task(exporter.run(setup.is_ending))
    await main.inbox.wait_for(1)
    await setup.database.close()
    with pytest.raises(StoreUnavailable):
        await run
    assert exporter.pace.retry_at > setup.time.now
    await setup.database.open()
    main.fault = Fault.NONE
    await exporter.run(setup.is_ending)
    assert each_once(main, 1)
    assert (await setup.counts())["exported"] == 1


# a no


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_stops_and_loses_nothing(setup: Setup, status: int) -> None:
    requests = 0

    async def deny(_: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        return web.Response(status=status, text="the key sandbox-key is not known")

    await setup.add(7)
    async with answering(deny) as address:
        exporter = setup.exporter(address)
        with pytest.raises(ExportStopped, match=f"answered {status}") as stopped:
            await exporter.run(setup.is_ending)
    assert "sandbox-key" not in str(stopped.value)
    assert requests == 1
    assert (await setup.counts())["ready"] == 7
    assert setup.metric("vestnik_export_stopped") == 1


async def test_with_the_right_key_the_kept_batch_goes_out_and_the_alarm_ends(
    setup: Setup, main: MainQuizServer, url: str
) -> None:
    await setup.add(3)
    with pytest.raises(ExportStopped):
        await setup.exporter(url, key="wrong").run(setup.is_ending)
    await setup.exporter(url).run(setup.is_ending)
    assert each_once(main, 3)
    assert setup.metric("vestnik_export_stopped") == 0


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("size", [1, 5, 100])
async def test_of_a_batch_refused_as_a_whole_only_the_guilty_question_goes_to_the_moderators(
    setup: Setup, status: int, size: int
) -> None:
    taken: list[str] = []

    async def strict(request: web.Request) -> web.Response:
        questions = (await request.json())["questions"]
        if any("bad" in question["text"] for question in questions):
            return web.Response(status=status, text="one of them is too long")
        taken.extend(question["hash"] for question in questions)
        return web.Response(status=204)

    await setup.add(8)
    await setup.add(1, "Is {} bad?")
    await setup.add(8)
    async with answering(strict) as address:
        await setup.exporter(address, batch=size).run(setup.is_ending)
    assert len(taken) == len(set(taken)) == 16
    assert await setup.counts() == {"raw": 1, "ready": 0, "exported": 16, "rejected": 0}
    reason = await setup.database.read(lambda c: c.execute("SELECT detail FROM question_reason").fetchone()[0])
    assert reason == f"the main server answered {status}: one of them is too long"


def refusing_all(per_item: bool) -> Answering:
    async def refuse(request: web.Request) -> web.Response:
        if not per_item:
            return web.Response(status=422)
        count = len((await request.json())["questions"])
        return web.json_response({"results": [{"index": n, "status": "invalid"} for n in range(count)]})

    return refuse


@pytest.mark.parametrize("per_item", [True, False])
async def test_a_server_that_refuses_everything_stops_the_export_and_all_is_ready_again(
    setup: Setup, per_item: bool
) -> None:
    await setup.add(3 * MOST_REFUSED)
    async with answering(refusing_all(per_item)) as address:
        exporter = setup.exporter(address)
        with pytest.raises(ExportStopped, match=rf"refused {MOST_REFUSED} questions in a row \({MOST_REFUSED} of them"):
            await exporter.run(setup.is_ending)
    assert await setup.counts() == {"raw": 0, "ready": 3 * MOST_REFUSED, "exported": 0, "rejected": 0}
    assert await setup.reasons() == {}
    assert setup.metric("vestnik_export_stopped") == 1
    assert setup.metric("vestnik_export_questions_total", outcome="taken back") == MOST_REFUSED
    assert exporter.sent.invalid == 0


async def test_after_a_server_refused_everything_the_right_one_gets_each_question_once(
    setup: Setup, main: MainQuizServer, url: str
) -> None:
    await setup.add(2 * MOST_REFUSED)
    async with answering(refusing_all(per_item=False)) as address:
        with pytest.raises(ExportStopped):
            await setup.exporter(address).run(setup.is_ending)
    await setup.exporter(url).run(setup.is_ending)
    assert each_once(main, 2 * MOST_REFUSED)


async def test_only_what_was_refused_since_the_last_yes_is_taken_back(setup: Setup) -> None:
    requests = 0

    async def refuse_but_the_second(request: web.Request) -> web.StreamResponse:
        nonlocal requests
        requests += 1
        return web.Response() if requests == 2 else await refusing_all(per_item=True)(request)

    await setup.add(10 + MOST_REFUSED)
    async with answering(refuse_but_the_second) as address:
        with pytest.raises(ExportStopped):
            await setup.exporter(address).run(setup.is_ending)
    assert await setup.counts() == {"raw": 5, "ready": MOST_REFUSED, "exported": 5, "rejected": 0}
    assert set(await setup.reasons()) == {"R40"}


async def test_what_a_moderator_dealt_with_meanwhile_is_not_taken_back(setup: Setup) -> None:
    await setup.add(MOST_REFUSED)
    ids = [QuestionId(id_) for id_ in sorted(await setup.database.read(statuses))]
    requests = 0

    async def moderate_between(request: web.Request) -> web.StreamResponse:
        nonlocal requests
        requests += 1
        if requests == 2:  # the first five are refused
            await setup.database.write(lambda c: moderation.reject(c, ids[0], 1.0))
            await setup.database.write(lambda c: add_reasons(c, ids[1], (Reason("R32", "other"),)))
        return await refusing_all(per_item=True)(request)

    async with answering(moderate_between) as address:
        with pytest.raises(ExportStopped, match=rf"{MOST_REFUSED - 2} of them"):
            await setup.exporter(address).run(setup.is_ending)
    assert await setup.counts() == {"raw": 1, "ready": MOST_REFUSED - 2, "exported": 0, "rejected": 1}
    assert await setup.reasons() == {"R32": 1}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(setup: Setup, main: MainQuizServer, url: str, status: int) -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": url})

    await setup.add(1)
    async with answering(elsewhere) as address:
        with pytest.raises(PutOff, match="redirects are not followed"):
            await setup.exporter(address).run(setup.is_ending)
    assert main.inbox.arrivals() == []
    assert (await setup.counts())["ready"] == 1


async def test_too_many_requests_has_the_exporter_wait_as_long_as_it_is_asked_to(
    setup: Setup, main: MainQuizServer, url: str
) -> None:
    main.fault, main.retry_after = Fault.RATE_LIMIT, 120
    await setup.add(1)
    exporter = setup.exporter(url)
    with pytest.raises(PutOff, match="429"):
        await exporter.run(setup.is_ending)
    main.fault = Fault.NONE
    setup.time.now += 119
    with pytest.raises(PutOff, match="asked to be left alone for 1 s more"):
        await exporter.run(setup.is_ending)
    assert main.inbox.arrivals() == []
    setup.time.now += 1
    await exporter.run(setup.is_ending)
    assert each_once(main, 1)


async def test_an_error_put_off_once_does_not_go_on_to_the_next_batch(
    setup: Setup, main: MainQuizServer, url: str
) -> None:
    main.fault = Fault.DOWN
    await setup.add(12)
    with pytest.raises(PutOff, match="502"):
        await setup.exporter(url).run(setup.is_ending)
    assert await setup.open_batches() == 1


async def test_a_batch_that_the_server_stumbles_over_does_not_hold_the_others_up_for_ever(setup: Setup) -> None:
    taken: list[str] = []

    async def stumble(request: web.Request) -> web.Response:
        questions = json.loads(await request.read())["questions"]
        if any("bad" in question["text"] for question in questions):
            return web.Response(status=500)
        taken.extend(question["hash"] for question in questions)
        return web.Response(status=200)

    await setup.add(1, "Is {} bad?")
    await setup.add(10)
    async with answering(stumble) as address:
        exporter = setup.exporter(address, batch=1)
        for _ in range(STUCK - 1):
            with pytest.raises(PutOff):
                await exporter.run(setup.is_ending)
        assert taken == []
        with pytest.raises(PutOff, match=r"everything else is sent, but not the batches .*500"):
            await exporter.run(setup.is_ending)
    assert len(taken) == 10
    assert await setup.counts() == {"raw": 0, "ready": 1, "exported": 10, "rejected": 0}
    assert await setup.open_batches() == 1


# its end


async def test_in_maintenance_the_batch_under_way_ends_and_no_other_begins(
    setup: Setup, main: MainQuizServer, url: str
) -> None:
    main.fault, main.slow_seconds = Fault.SLOW, 0.3
    await setup.add(10)
    run = asyncio.create_task(setup.exporter(url).run(setup.is_ending))
    await asyncio.sleep(0)
    while await setup.open_batches() == 0:
        await asyncio.sleep(0.01)
    setup.ending = True
    await run
    assert await setup.counts() == {"raw": 0, "ready": 5, "exported": 5, "rejected": 0}
    assert await setup.open_batches() == 0


async def test_a_run_that_is_canceled_leaves_its_batch_for_the_next(
    setup: Setup, main: MainQuizServer, url: str
) -> None:
    main.fault, main.slow_seconds = Fault.SLOW, 0.3
    await setup.add(5)
    exporter = setup.exporter(url)
    run = asyncio.create_task(exporter.run(setup.is_ending))
    while await setup.open_batches() == 0:
        await asyncio.sleep(0.01)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    main.fault = Fault.NONE
    async with asyncio.timeout(60):
        while True:
            try:
                await exporter.run(setup.is_ending)
                break
            except PutOff:  # 409 while the server still works on the first try
                await asyncio.sleep(0.1)
    assert each_once(main, 5)
    assert await setup.database.read(statuses) == {}


async def test_hostile_words_of_the_server_are_kept_short_printable_and_without_the_key(setup: Setup) -> None:
    async def hostile(_: web.Request) -> web.Response:
        words = ["x" * 10_000 + "\x00", "\x1b[31m sandbox-key \n\r", {"deep": [1, {"a": None}]}, "", None]
        said = [{"index": n, "status": "invalid", "error": error} for n, error in enumerate(words)]
        return web.json_response({"results": said})

    await setup.add(5)
    async with answering(hostile) as address:
        await setup.exporter(address).run(setup.is_ending)
    rows = await setup.database.read(
        lambda c: [
            row[0]
            for row in c.execute("SELECT detail FROM question_reason JOIN question ON id = question_id ORDER BY id")
        ]
    )
    assert len(rows[0]) < 250
    assert rows[1].split() == ["[31m", "***"]
    assert rows[3] == rows[4] == NO_REASON


async def test_the_endpoint_is_asked_once_for_each_try_over_connections_that_die(setup: Setup) -> None:
    """aiohttp would by itself send again over a new connection what a kept one lost."""
    requests = 0

    async def die(request: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    await setup.add(1)
    async with answering(die) as address:
        with pytest.raises(PutOff):
            await setup.exporter(address).run(setup.is_ending)
    assert requests == 1
