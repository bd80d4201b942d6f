"""Questions on the real daemon: from a source to the main server, through moderation, faults and kills."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from daemons import PATIENCE, RunningDaemon

from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.sandbox.far_side import Arrival, Inbox
from vestnik.sandbox.quiz_server import MainQuizServer

CHANNELS = "channels: {{nowhere: {{worker: null}}}}\n"
QUIZ = """
quiz:
  sources:
    opentdb: {{kind: opentdb, url: "{sandbox}/opentdb", mode: TIMER, interval: 3600000, amount: 10}}
    dump: {{kind: file, url: "file:none", format: hash-q, language: en}}
  export: {{url: "MAIN", key: sandbox-key, mode: CRON, schedule: "0 0 1 1 *", threshold: THRESHOLD, batch: BATCH,
           timeout: 2s, retry_delay: 200ms, max_retry_delay: 400ms}}
"""
IN_SANDBOX = "{sandbox}/main/questions"
QUESTION = "#Q Which planet number {0} is the {0}. from the Sun?\n^ Planet{0}\nA Planet{0}\nB X\nC Y\nD Z\n\n"


def quiz(main: str = IN_SANDBOX, *, threshold: int = 1_000_000, batch: int = 5) -> str:
    return CHANNELS + QUIZ.replace("MAIN", main).replace("THRESHOLD", str(threshold)).replace("BATCH", str(batch))


class Quiz:
    """The quiz half of a daemon's interface, asked with one token."""

    def __init__(self, daemon: RunningDaemon, headers: dict[str, str]) -> None:
        self._daemon = daemon
        self._headers = headers

    @classmethod
    async def of(cls, daemon: RunningDaemon) -> Quiz:
        return cls(daemon, await daemon.token())

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        async with self._daemon.http.request(
            method, self._daemon.url + path, json=body, headers=self._headers
        ) as response:
            assert response.status < 300, await response.text()
            return await response.json() if response.status != 204 else None

    async def job(self, name: str) -> dict[str, Any]:
        jobs = (await self.ask("GET", "/jobs"))["jobs"]
        found: dict[str, Any] = next(job for job in jobs if job["name"] == name)
        return found

    async def run(self, name: str) -> dict[str, Any]:
        """To its end."""
        await self.ask("POST", f"/jobs/{name}/run")
        return await self.when(name, lambda job: not job["running"])

    async def when(self, name: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while not condition(job := await self.job(name)):
                await asyncio.sleep(0.05)
        return job

    async def questions(self, status: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.ask("GET", f"/questions?status={status}"))["questions"]
        return found

    async def import_(self, *numbers: int, text: str = QUESTION) -> None:
        file = self._daemon.folder / "questions.txt"
        file.write_text("".join(text.format(number) for number in numbers))
        await self._daemon.do("quiz", "import", str(file), "--source", "dump")


def failed_after(moment: str | None) -> Callable[[dict[str, Any]], bool]:
    return lambda job: job["lastErrorAt"] != moment


def received(arrivals: Iterable[dict[str, Any]]) -> Counter[str]:
    return Counter(arrival["details"]["hash"] for arrival in arrivals)


async def until_received(daemon: RunningDaemon, count: int) -> Counter[str]:
    async with asyncio.timeout(PATIENCE):
        while len(found := received(await daemon.arrivals("main"))) < count:
            await asyncio.sleep(0.05)
    return found


def counts(daemon: RunningDaemon) -> dict[str, int]:
    connection = sqlite3.connect(daemon.folder / "var" / "vestnik.db")
    found = dict(connection.execute("SELECT status, count FROM question_count").fetchall())
    connection.close()
    return found


# The whole way


async def test_from_a_source_through_moderation_to_the_main_server_with_faults_on(tmp_path: Path) -> None:
    async with RunningDaemon(tmp_path, channels=quiz()) as daemon:
        quiz_ = await Quiz.of(daemon)
        await daemon.set_fault("opentdb", "garbage")
        failed = await quiz_.run("opentdb")
        assert (failed["lastOutcome"], failed["lastError"] is None) == ("failed", False)
        await daemon.set_fault("opentdb", "none")
        collected = await quiz_.run("opentdb")
        assert collected["lastOutcome"] == "succeeded", collected
        ready, raw = await quiz_.questions("ready"), await quiz_.questions("raw")
        result = collected["lastResult"]
        assert len(ready) + len(raw) + result["refused"] == result["fetched"] == 10

        approved, *others = raw
        assert approved["findings"][0]["description"]
        await quiz_.ask("POST", f"/questions/{approved['id']}/approve")
        await quiz_.ask("PATCH", f"/questions/{ready[0]['id']}", {"text": "How many hours has a day on Earth?"})
        wanted = {question["hash"] for question in await quiz_.questions("ready")}

        await daemon.set_fault("main", "drop")
        stumbled = await quiz_.run("export")
        assert "broke" in stumbled["lastError"]
        await daemon.set_fault("main", "none")
        arrived = await until_received(daemon, len(wanted))
        assert set(arrived) == wanted
        assert set(arrived.values()) == {1}
        await quiz_.when("export", lambda job: job["lastOutcome"] == "succeeded" and not job["running"])
        assert await quiz_.questions("ready") == []
        assert [question["id"] for question in await quiz_.questions("raw")] == [q["id"] for q in others]
        assert counts(daemon)["exported"] == len(wanted)


async def test_what_was_sent_is_known_when_it_comes_again_and_is_not_sent_again(tmp_path: Path) -> None:
    async with RunningDaemon(tmp_path, channels=quiz()) as daemon:
        quiz_ = await Quiz.of(daemon)
        await quiz_.import_(1, 2, 3)
        await quiz_.run("export")
        await quiz_.import_(2, 3, 4, text=QUESTION.replace("Which planet", "WHICH  Planet,"))
        await quiz_.run("export")
        assert received(await daemon.arrivals("main")).total() == 4


async def test_more_than_the_threshold_are_sent_before_their_time(tmp_path: Path) -> None:
    async with RunningDaemon(tmp_path, channels=quiz(threshold=6)) as daemon:
        quiz_ = await Quiz.of(daemon)
        planned = (await quiz_.job("export"))["nextRunAt"]
        await quiz_.import_(*range(6))
        await asyncio.sleep(2.5)  # several looks
        assert await daemon.arrivals("main") == []
        await quiz_.import_(6)
        assert set((await until_received(daemon, 7)).values()) == {1}
        job = await quiz_.when("export", lambda job: not job["running"])
        assert job["lastResult"] == {"batches": 2, "taken": 7, "invalid": 0}
        assert job["nextRunAt"] > planned


async def test_no_fault_of_the_main_server_loses_or_doubles_anything(tmp_path: Path) -> None:
    async with RunningDaemon(tmp_path, channels=quiz(threshold=1)) as daemon:
        quiz_ = await Quiz.of(daemon)
        seen_at = None
        for number, fault in enumerate(("down", "slow", "rate-limit", "garbage", "drop"), start=1):
            await daemon.set_fault("main", fault)
            await quiz_.import_(*range(12 * (number - 1), 12 * number))
            await quiz_.when("export", failed_after(seen_at))
            await daemon.set_fault("main", "none")
            assert set((await until_received(daemon, 12 * number)).values()) == {1}, fault
            job = await quiz_.when("export", lambda job: job["lastOutcome"] == "succeeded" and not job["running"])
            seen_at = job["lastErrorAt"]
        assert counts(daemon) == {"raw": 0, "ready": 0, "exported": 60, "rejected": 0}


async def test_a_wrong_key_stops_the_job_and_the_right_one_sends_what_was_kept(tmp_path: Path) -> None:
    async with RunningDaemon(tmp_path, channels=quiz(threshold=1)) as daemon:
        right = daemon.config.read_text()
        daemon.config.write_text(right.replace("sandbox-key", "another-key"))
        await daemon.terminate()
        await daemon.start()
        quiz_ = await Quiz.of(daemon)
        await quiz_.import_(1, 2, 3)
        job = await quiz_.when("export", lambda job: job["state"] == "STOPED" and not job["running"])
        assert "answered 401" in job["lastError"]
        assert any("export stopped" in line for line in daemon.log)
        async with daemon.http.get(f"{daemon.url}/metrics") as response:
            assert "vestnik_export_stopped 1.0" in await response.text()
        assert counts(daemon)["ready"] == 3

        daemon.config.write_text(right)
        await daemon.terminate()
        await daemon.start()
        assert (await quiz_.job("export"))["state"] == "STOPED"
        await quiz_.ask("PUT", "/jobs/export/state", {"action": "START"})
        assert set((await until_received(daemon, 3)).values()) == {1}
        assert "another-key" not in "".join(daemon.log)


# Its ends


class Receiver(MainQuizServer):
    """A main server that outlives the daemon, and does something at chosen steps of its requests."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(inbox)
        self.knows_hashes = False  # a second copy would show
        self.plan: deque[tuple[str, Callable[[], Awaitable[None]]]] = deque()
        self._later: set[asyncio.Task[bool]] = set()

    async def respond(self, request: web.Request, arrivals: Any, accepted: web.Response) -> web.StreamResponse:
        acted = await self._pass("before storing")
        response = await super().respond(request, arrivals, accepted)
        if not acted and not await self._pass("before answering"):
            task = asyncio.create_task(self._pass("after answering"))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        return response

    async def _pass(self, point: str) -> bool:
        if not self.plan or self.plan[0][0] != point:
            return False
        await self.plan.popleft()[1]()
        return True

    def received(self) -> Counter[str]:
        return Counter(arrival.details["hash"] for arrival in self.inbox.arrivals())

    async def wait_for(self, count: int) -> list[Arrival]:
        async with asyncio.timeout(PATIENCE):
            return await self.inbox.wait_for(count)


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver(Inbox())
    application = web.Application()
    application.add_routes(receiver.routes())
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield receiver, f"http://{host}:{port}/main/questions"
    finally:
        await runner.cleanup()


async def test_kills_around_the_main_servers_yes_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    async with (
        receiving() as (receiver, url),
        RunningDaemon(tmp_path, channels=quiz(url, threshold=1, batch=2)) as daemon,
    ):
        in_service, killed, one_at_a_time = asyncio.Event(), asyncio.Event(), asyncio.Lock()
        in_service.set()

        async def kill() -> None:
            async with one_at_a_time:
                await in_service.wait()  # it exports already before
                await daemon.kill()
                in_service.clear()
                killed.set()

        receiver.plan.extend((point, kill) for point in ("before storing", "before answering", "after answering") * 3)
        kills = len(receiver.plan)
        await (await Quiz.of(daemon)).import_(*range(40))
        for _ in range(kills):
            async with asyncio.timeout(PATIENCE):
                await killed.wait()
            killed.clear()
            await daemon.start()
            in_service.set()
        await receiver.wait_for(40)
        await (await Quiz.of(daemon)).when("export", lambda job: job["lastOutcome"] == "succeeded")
        assert len(receiver.received()) == 40
        assert set(receiver.received().values()) == {1}
        assert receiver.replays > 0
        assert counts(daemon) == {"raw": 0, "ready": 0, "exported": 40, "rejected": 0}


@pytest.mark.parametrize("end", ["SIGTERM", "maintenance"])
async def test_an_orderly_end_comes_after_the_batch_under_way_and_before_the_next(tmp_path: Path, end: str) -> None:
    async with receiving() as (receiver, url), RunningDaemon(tmp_path, channels=quiz(url, threshold=1)) as daemon:
        ending: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def ask_to_end() -> None:
            if end == "maintenance":
                flag = MaintenanceFlag(daemon.folder / "var")
                revision = flag.set(on=True).revision
                while flag.acknowledged().revision != revision:
                    await asyncio.sleep(0.01)
                ending.set_result(0)
                return
            task = asyncio.create_task(daemon.terminate())
            task.add_done_callback(lambda done: ending.set_result(done.result()))
            while not any("stopping" in line for line in daemon.log):
                await asyncio.sleep(0.01)

        receiver.plan.append(("before answering", ask_to_end))
        await (await Quiz.of(daemon)).import_(*range(12))
        async with asyncio.timeout(PATIENCE):
            assert await ending == 0
        await Quiz.of(daemon)  # some time passes
        assert len(receiver.received()) == 5
        assert counts(daemon) == {"raw": 0, "ready": 7, "exported": 5, "rejected": 0}
        if end == "SIGTERM":
            await daemon.start()
        else:
            await daemon.do("maintenance", "off")
        await receiver.wait_for(12)
        assert set(receiver.received().values()) == {1}
