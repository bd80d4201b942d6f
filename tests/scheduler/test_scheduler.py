"""The scheduler over a real database, with clocks that are set."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from deliveries import Locked, until
from jobs import MINUTE, NOW, RecordedJob, Scheduling
from prometheus_client import CollectorRegistry

from vestnik.errors import Conflict, NotFound, StoreUnavailable, VestnikError
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.scheduler import execution, scheduler
from vestnik.scheduler.build import SchedulerPart
from vestnik.scheduler.job import Start, Wish
from vestnik.scheduler.scheduler import InMaintenance
from vestnik.scheduler.state import Action, Outcome, State
from vestnik.scheduler.triggers import Cron, Timer
from vestnik.storage.database import Database

HOUR, DAY = 3600.0, 86400.0
SIX_HOURS = Cron("0 */6 * * *")
SIX = NOW + 50 * 60

# -- runs


async def test_a_job_runs_when_its_time_has_come_and_again_after_its_interval(
    scheduling: Scheduling, job: RecordedJob
) -> None:
    await scheduling.start(job)
    await scheduling.passes(59)
    assert job.runs == []
    await scheduling.passes(1)
    state = await scheduling.ended()
    assert (state.last_run_at, state.last_outcome, state.next_run_at) == (NOW + 60, Outcome.SUCCEEDED, NOW + 120)
    await scheduling.passes(60)
    await scheduling.ended()
    assert job.starts == [Start.PLANNED, Start.PLANNED]


async def test_a_job_does_not_overlap_itself_whoever_asks(scheduling: Scheduling, job: RecordedJob) -> None:
    job.gate.clear()
    await scheduling.start(job)
    await scheduling.passes(60)
    await job.begun.wait()
    for _ in range(5):
        await scheduling.passes(60)
    assert await scheduling.part.scheduler.run_early("job", Wish("impatience")) is False
    with pytest.raises(Conflict, match="the job 'job' runs already"):
        await scheduling.part.scheduler.run_now("job")
    job.gate.set()
    state = await scheduling.ended()
    assert (len(job.runs), job.most_at_once) == (1, 1)
    assert state.next_run_at == NOW + 420  # not chased


async def test_two_who_ask_at_once_get_one_run(scheduling: Scheduling, job: RecordedJob) -> None:
    job.gate.clear()
    await scheduling.start(job)
    asked = (scheduling.part.scheduler.run_now("job") for _ in range(5))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), Conflict, Conflict, Conflict, Conflict]
    assert len(job.runs) == 1


async def test_several_jobs_run_at_once(scheduling: Scheduling) -> None:
    jobs = [RecordedJob(f"job {n}") for n in range(20)]
    for job in jobs:
        job.gate.clear()
    await scheduling.start(*jobs)
    await scheduling.passes(60)
    async with asyncio.timeout(60):
        for job in jobs:
            await job.begun.wait()
    assert [job.at_once for job in jobs] == [1] * 20


@pytest.mark.parametrize(
    ("raised", "shown"),
    [
        (VestnikError("the source said no, key s3cr3t"), "the source said no, key [secret]"),
        (ValueError("a bug"), "ValueError: a bug"),
        (SystemExit(3), "SystemExit: 3"),
        (asyncio.CancelledError(), "what it waited for was canceled"),
        (VestnikError("\udc80\x00" + "x" * 5000), "?\x00" + "x" * 998),
    ],
)
async def test_a_job_that_raises_shows_its_error_and_hurts_no_other(
    scheduling: Scheduling, job: RecordedJob, raised: BaseException, shown: str
) -> None:
    other = RecordedJob("other")
    job.raises.append(raised)
    job.result = {"kept": 7}
    await scheduling.start(job, other)
    await scheduling.passes(60)
    state = await scheduling.ended()
    assert (state.last_outcome, state.last_error, state.last_result) == (Outcome.FAILED, shown, {"kept": 7})
    assert (await scheduling.ended("other")).last_outcome is Outcome.SUCCEEDED
    assert scheduling.counted("failed") == 1
    await scheduling.passes(60)
    assert (await scheduling.ended()).last_outcome is Outcome.SUCCEEDED
    assert scheduling.state().last_error == shown


@pytest.mark.parametrize(("interval", "level"), [(999, logging.DEBUG), (1000, logging.INFO)])
async def test_runs_many_times_a_second_are_told_at_debug_level(
    scheduling: Scheduling, caplog: pytest.LogCaptureFixture, interval: int, level: int
) -> None:
    caplog.set_level(logging.DEBUG, "vestnik.scheduler")
    await scheduling.start(RecordedJob("job", Timer(interval)))
    await scheduling.passes(1)
    await scheduling.ended()
    begun, ended = [record for record in caplog.records if record.name == "vestnik.scheduler.scheduler"]
    assert "run begins" in begun.getMessage()
    assert "run ended" in ended.getMessage()
    assert [begun.levelno, ended.levelno] == [level, level]


async def test_a_run_that_failed_is_a_warning_however_often_the_job_runs(
    scheduling: Scheduling, caplog: pytest.LogCaptureFixture
) -> None:
    job = RecordedJob("job", Timer(10))
    job.raises.append(VestnikError("the source said no"))
    await scheduling.start(job)
    await scheduling.passes(1)
    await scheduling.ended()
    assert "the source said no" in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


async def test_a_bug_leaves_its_traceback_with_the_jobs_name(
    scheduling: Scheduling, job: RecordedJob, caplog: pytest.LogCaptureFixture
) -> None:
    job.raises.append(ValueError("a bug"))
    await scheduling.start(job)
    await scheduling.part.scheduler.run_now("job")
    await scheduling.ended()
    [line] = [record for record in caplog.records if record.exc_info]
    assert line.name == "vestnik.scheduler.execution"


async def test_the_time_limit_cancels(scheduling: Scheduling) -> None:
    job = RecordedJob(time_limit=0.01)
    job.gate.clear()
    job.result = {"kept": 1}
    await scheduling.start(job)
    await scheduling.part.scheduler.run_now("job")
    state = await scheduling.ended()
    assert state.last_outcome is Outcome.TIMED_OUT
    assert state.last_error == "took longer than its limit of 0.01 s, and was canceled"
    assert state.last_result == {"kept": 1}
    assert job.at_once == 0


async def test_a_job_that_does_not_end_when_it_is_canceled_says_so_and_hurts_no_other(
    scheduling: Scheduling, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(execution, "AGAIN", 0.02)
    job, other = RecordedJob(time_limit=0.01), RecordedJob("other")
    job.refuses_to_end = 2
    job.gate.clear()
    await scheduling.start(job, other)
    await scheduling.passes(60)
    await until(lambda: scheduling.state().last_error is not None)
    assert scheduling.state().running_since == NOW + 60
    await scheduling.ended("other")
    await scheduling.passes(60)
    await scheduling.ended("other")
    assert (len(job.runs), len(other.runs)) == (1, 2)
    assert (await scheduling.ended()).last_outcome is Outcome.TIMED_OUT
    assert "a run goes on though it was canceled" in caplog.text


async def test_metrics_tell_how_runs_went(scheduling: Scheduling, job: RecordedJob) -> None:
    job.raises.append(VestnikError("no"))
    await scheduling.start(job)
    label = {"job": "job"}
    assert scheduling.counted("failed") == 0
    assert scheduling.metrics.get_sample_value("vestnik_job_last_success_timestamp_seconds", label) is None
    for _ in range(2):
        await scheduling.passes(60)
        await scheduling.ended()
    assert (scheduling.counted("failed"), scheduling.counted("succeeded")) == (1, 1)
    values = {
        name: scheduling.metrics.get_sample_value(f"vestnik_job_{name}", label)
        for name in ("seconds_count", "running", "working", "next_run_timestamp_seconds")
    }
    assert values == {"seconds_count": 2, "running": 0, "working": 1, "next_run_timestamp_seconds": NOW + 180}
    success = scheduling.metrics.get_sample_value("vestnik_job_last_success_timestamp_seconds", label)
    assert success == NOW + 120


# -- early


async def test_a_job_that_wants_to_runs_early_in_place_of_its_next_time(scheduling: Scheduling) -> None:
    job = RecordedJob(trigger=SIX_HOURS)
    asked = RecordedJob("asked", SIX_HOURS, early=job.early)
    await scheduling.start(asked)
    assert await scheduling.part.scheduler.ask_for_early("asked") is False
    job.wants_early = Wish("more than 200 are ready")
    assert await scheduling.part.scheduler.ask_for_early("asked") is True
    state = await scheduling.ended("asked")
    assert asked.starts == [Start.EARLY]
    assert state.next_run_at == SIX + 6 * HOUR
    await scheduling.passes(50 * 60)
    assert len(asked.runs) == 1


async def test_an_early_run_that_fails_and_its_retries_leave_the_planned_time_as_it_is(scheduling: Scheduling) -> None:
    job = RecordedJob(trigger=SIX_HOURS)
    asked = RecordedJob("asked", SIX_HOURS, early=job.early)
    asked.raises = [VestnikError("down"), VestnikError("down")]
    await scheduling.start(asked)
    for start in (Start.EARLY, Start.RETRY, Start.RETRY):
        job.wants_early = Wish("again", start)
        assert await scheduling.part.scheduler.ask_for_early("asked") is True
        assert (await scheduling.ended("asked")).next_run_at == SIX
    await scheduling.passes(50 * 60)
    assert asked.starts == [Start.EARLY, Start.RETRY, Start.RETRY, Start.PLANNED]


@pytest.mark.parametrize("action", [Action.PAUSE, Action.STOP])
async def test_a_job_that_is_held_is_not_asked(scheduling: Scheduling, job: RecordedJob, action: Action) -> None:
    asked = RecordedJob("asked", early=job.early)
    job.wants_early = Wish("impatience")
    await scheduling.start(asked)
    await scheduling.part.scheduler.act("asked", action)
    assert await scheduling.part.scheduler.ask_for_early("asked") is False
    assert asked.runs == []


async def test_the_daemons_loops_ask_and_run(scheduling: Scheduling, job: RecordedJob) -> None:
    asked, quick = RecordedJob("asked", early=job.early), RecordedJob("quick", Timer(1))
    job.wants_early = Wish("impatience")
    scheduling.part.add([asked.definition, quick.definition])
    await scheduling.part.start()
    scheduling.clocks.passes(1)
    async with asyncio.timeout(60):
        await asked.begun.wait()
        await quick.begun.wait()
    await scheduling.part.stop(1)
    assert asked.starts == [Start.EARLY]


async def test_its_loop_runs_jobs_at_their_times(
    database: Database, job: RecordedJob, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    part = SchedulerPart(database=database, maintenance=MaintenanceFlag(tmp_path), metrics=CollectorRegistry())
    part.add([RecordedJob("slow").definition, RecordedJob("quick", Timer(20)).definition])
    await part.start()
    began = part.scheduler.view("quick").state.planned_at
    await until(lambda: (part.scheduler.view("quick").state.last_success_at or 0.0) > began + 0.06)
    await part.stop(1)
    assert part.scheduler.view("slow").state.last_run_at is None
    assert caplog.records == []


# -- maintenance


async def test_in_maintenance_no_job_starts_and_what_was_due_is_made_up_once(
    scheduling: Scheduling, job: RecordedJob
) -> None:
    asked = RecordedJob("asked", Timer(86_400_000), early=job.early)
    job.wants_early = Wish("impatience")
    await scheduling.start(job, asked)
    scheduling.flag.set(on=True)
    for _ in range(5):
        await scheduling.passes(60)
    with pytest.raises(InMaintenance):
        await scheduling.part.scheduler.run_now("job")
    assert await scheduling.part.scheduler.ask_for_early("asked") is False
    assert job.runs == asked.runs == []
    scheduling.flag.set(on=False)
    await scheduling.look()
    await scheduling.ended()
    await scheduling.look()
    assert len(job.runs) == 1
    assert scheduling.state().next_run_at == NOW + 360


@pytest.mark.parametrize("because", ["planned", "by hand", "early"])
async def test_maintenance_that_begins_while_a_run_is_written_down_holds_it(
    scheduling: Scheduling, job: RecordedJob, because: str
) -> None:
    await scheduling.start(job)
    before = scheduling.state()
    let_go = threading.Event()
    holding = asyncio.create_task(scheduling.database.maintain(lambda _: let_go.wait(5)))
    scheduling.clocks.passes(60 if because == "planned" else 1)
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "planned": scheduling.look,
        "by hand": lambda: scheduling.part.scheduler.run_now("job"),
        "early": lambda: scheduling.part.scheduler.run_early("job", Wish("impatience")),
    }
    beginning = asyncio.ensure_future(asked[because]())
    await asyncio.sleep(0.05)  # it waits for the disk, and nothing tells that
    scheduling.flag.set(on=True)
    let_go.set()
    await holding
    [answer] = await asyncio.gather(beginning, return_exceptions=True)
    assert (
        repr(answer)
        == {
            "planned": "None",
            "by hand": "InMaintenance('in maintenance no job starts')",
            "early": "False",
        }[because]
    )
    await scheduling.look()
    assert (job.runs, scheduling.state()) == ([], before)
    assert (await scheduling.ended_on_disk()) == before


async def test_a_run_under_way_hears_of_maintenance(scheduling: Scheduling, job: RecordedJob) -> None:
    job.gate.clear()
    await scheduling.start(job)
    await scheduling.part.scheduler.run_now("job")
    await job.begun.wait()
    heard = [job.runs[0].ending]
    scheduling.flag.set(on=True)
    heard.append(job.runs[0].ending)
    assert heard == [False, True]
    job.gate.set()
    assert (await scheduling.ended()).last_outcome is Outcome.SUCCEEDED


# -- pause, stop, start


async def test_a_paused_job_starts_again_at_its_time(scheduling: Scheduling, job: RecordedJob) -> None:
    await scheduling.start(job)
    await scheduling.part.scheduler.act("job", Action.PAUSE, NOW + HOUR)
    await scheduling.passes(HOUR - 1)
    assert (scheduling.state().state, job.runs) == (State.PAUSED, [])
    await scheduling.passes(1)
    assert (scheduling.state().state, scheduling.state().start_at, job.runs) == (State.WORKING, None, [])
    await scheduling.passes(60)
    await scheduling.ended()
    assert len(job.runs) == 1


async def test_pausing_lets_a_run_end_and_stopping_cancels_it(
    scheduling: Scheduling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "STOP_GRACE", 0.01)
    jobs = paused, stopped = RecordedJob("paused"), RecordedJob("stopped")
    for job in jobs:
        job.gate.clear()
    await scheduling.start(*jobs)
    await scheduling.passes(60)
    await scheduling.part.scheduler.act("paused", Action.PAUSE)
    await scheduling.part.scheduler.act("stopped", Action.STOP)
    assert (paused.runs[0].ending, stopped.runs[0].ending) == (False, True)
    state = await scheduling.ended("stopped")
    assert (state.last_outcome, state.last_error) == (Outcome.STOPPED, "the job was stopped in the middle of this run")
    assert scheduling.state("paused").running_since is not None
    paused.gate.set()
    assert (await scheduling.ended("paused")).last_outcome is Outcome.SUCCEEDED


async def test_a_paused_job_can_be_run_by_hand(scheduling: Scheduling, job: RecordedJob) -> None:
    await scheduling.start(job)
    await scheduling.part.scheduler.act("job", Action.PAUSE)
    await scheduling.part.scheduler.run_now("job")
    state = await scheduling.ended()
    assert (job.starts, state.state, state.next_run_at) == ([Start.BY_HAND], State.PAUSED, None)


async def test_settings_changed_during_a_run_hold_after_it(scheduling: Scheduling, job: RecordedJob) -> None:
    job.gate.clear()
    await scheduling.start(job)
    await scheduling.passes(60)
    await scheduling.part.scheduler.set_trigger("job", SIX_HOURS)
    job.gate.set()
    state = await scheduling.ended()
    assert (state.trigger, state.next_run_at) == (SIX_HOURS, SIX)


async def test_a_job_that_is_not_there_is_not_found(scheduling: Scheduling) -> None:
    part = scheduling.part.scheduler
    for asked in (part.run_now("x"), part.act("x", Action.STOP), part.reset("x"), part.set_trigger("x", MINUTE)):
        with pytest.raises(NotFound, match="there is no job 'x'"):
            await asked


# -- over restarts


async def test_what_was_changed_outlives_a_restart_until_it_is_reset(scheduling: Scheduling, job: RecordedJob) -> None:
    await scheduling.start(job)
    await scheduling.part.scheduler.set_trigger("job", Cron("30 2 * * *", "Europe/Berlin"))
    await scheduling.part.scheduler.act("job", Action.PAUSE, NOW + HOUR)
    before = scheduling.state()
    await scheduling.again(job)
    assert scheduling.state() == before
    await scheduling.part.scheduler.reset("job")
    await scheduling.again(job)
    state = scheduling.state()
    assert (state.trigger, state.state, state.changed) == (MINUTE, State.WORKING, False)


async def test_at_the_start_the_log_names_what_the_configuration_says_in_vain(
    scheduling: Scheduling, job: RecordedJob, caplog: pytest.LogCaptureFixture
) -> None:
    held, same = RecordedJob("held"), RecordedJob("same")
    await scheduling.start(job, held, same)
    await scheduling.part.scheduler.set_trigger("job", Cron("30 2 * * *", "Europe/Berlin"))
    await scheduling.part.scheduler.set_trigger("same", MINUTE)
    await scheduling.part.scheduler.act("held", Action.PAUSE, NOW + HOUR)
    assert "configuration's" not in caplog.text
    edited = RecordedJob("job", Timer(5000))
    await scheduling.again(edited, held, same)
    plan, state = [record.getMessage() for record in caplog.records]
    assert "another plan than the configuration's" in plan
    for named in ("'job'", "CRON 30 2 * * * (Europe/Berlin)", "TIMER every 5000 ms", "vestnik jobs reset job"):
        assert named in plan
    for named in ("not at work", "'held'", "PAUSED", "2026-05-04T06:10", "vestnik jobs start held"):
        assert named in state


async def test_what_nobody_changed_follows_the_configuration(scheduling: Scheduling, job: RecordedJob) -> None:
    await scheduling.start(job)
    await scheduling.again(RecordedJob("job", SIX_HOURS))
    assert (scheduling.state().trigger, scheduling.state().next_run_at) == (SIX_HOURS, SIX)


async def test_a_restart_puts_nothing_off_and_makes_up_once_what_was_missed(
    scheduling: Scheduling, job: RecordedJob
) -> None:
    await scheduling.start(job)
    await scheduling.passes(59)
    await scheduling.again(job)
    await scheduling.passes(1)
    await scheduling.ended_on_disk()
    assert len(job.runs) == 1
    scheduling.clocks.passes(DAY)
    await scheduling.again(job)
    for _ in range(3):
        await scheduling.look()
        await scheduling.ended()
    assert len(job.runs) == 2


async def test_how_the_last_run_went_outlives_a_restart(scheduling: Scheduling, job: RecordedJob) -> None:
    job.result = {"kept": 3, "refused": {"no text": 1}}
    job.raises.append(VestnikError("\udc80 half an answer"))
    await scheduling.start(job)
    await scheduling.passes(60)
    await scheduling.ended_on_disk()
    await scheduling.again(job)
    state = scheduling.state()
    assert (state.last_error, state.last_result, state.last_run_at) == ("? half an answer", job.result, NOW + 60)


async def test_a_kill_in_the_middle_of_a_run_is_told_and_the_run_made_up(
    scheduling: Scheduling, job: RecordedJob
) -> None:
    job.gate.clear()
    await scheduling.start(job)
    await scheduling.passes(60)
    await job.begun.wait()
    after = RecordedJob()
    await scheduling.again(after)
    assert scheduling.state().last_error == "the daemon ended in the middle of this run"
    await scheduling.look()
    assert (await scheduling.ended()).last_outcome is Outcome.SUCCEEDED
    assert after.starts == [Start.PLANNED]


async def test_a_job_that_left_the_configuration_is_not_shown_and_comes_back_as_it_was(
    scheduling: Scheduling, job: RecordedJob
) -> None:
    await scheduling.start(job, RecordedJob("other"))
    await scheduling.part.scheduler.act("other", Action.STOP)
    await scheduling.again(job)
    assert [view.state.name for view in scheduling.part.scheduler.views()] == ["job"]
    await scheduling.again(job, RecordedJob("other"))
    assert scheduling.state("other").state is State.STOPED


@pytest.mark.parametrize(
    "damage", ["schedule = '0 0 31 4 *'", "timezone = 'Nowhere/Land'", "last_result = '{'", "last_outcome = 'well'"]
)
async def test_a_row_that_makes_no_sense_is_begun_anew(
    scheduling: Scheduling, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = RecordedJob(trigger=SIX_HOURS)
    await scheduling.start(job)
    await scheduling.database.write(lambda c: c.execute(f"UPDATE job SET {damage}"))  # noqa: S608 - ours
    await scheduling.again(job)
    assert scheduling.state().trigger == SIX_HOURS
    assert "what is kept of a job cannot be used" in caplog.text


async def test_two_jobs_of_one_name_are_refused(scheduling: Scheduling, job: RecordedJob) -> None:
    scheduling.part.add([job.definition])
    with pytest.raises(ValueError, match="two jobs"):
        scheduling.part.add([job.definition])


# -- the end


async def test_at_the_end_runs_may_finish(scheduling: Scheduling, job: RecordedJob) -> None:
    job.gate.clear()
    await scheduling.start(job)
    await scheduling.passes(60)
    await job.begun.wait()
    stopping = asyncio.create_task(scheduling.part.stop(5))
    await until(lambda: job.runs[0].ending)
    job.gate.set()
    await stopping
    assert scheduling.state().last_outcome is Outcome.SUCCEEDED
    with pytest.raises(InMaintenance):
        await scheduling.part.scheduler.run_now("job")


async def test_what_does_not_finish_is_canceled_and_made_up_after_the_start(
    scheduling: Scheduling, job: RecordedJob
) -> None:
    job.gate.clear()
    await scheduling.start(job)
    await scheduling.passes(60)
    await job.begun.wait()
    await scheduling.part.stop(0.01)
    assert scheduling.state().last_outcome is Outcome.INTERRUPTED
    job.gate.set()
    await scheduling.again(job)
    await scheduling.look()
    await scheduling.ended()
    assert len(job.runs) == 2


async def test_a_run_that_cannot_be_ended_does_not_hold_up_the_end(
    scheduling: Scheduling, job: RecordedJob, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scheduler, "AFTER_CANCEL", 0.01)
    job.refuses_to_end = 1
    job.gate.clear()
    await scheduling.start(job)
    await scheduling.passes(60)
    await job.begun.wait()
    async with asyncio.timeout(60):
        await scheduling.part.stop(0.01)
    assert "a run does not end, leaving it" in caplog.text
    job.gate.set()


# -- the clock is set


async def test_set_forward_by_ten_years_each_job_runs_once(scheduling: Scheduling, job: RecordedJob) -> None:
    six, minute = RecordedJob("six", SIX_HOURS), RecordedJob("minute", Cron("* * * * *"))
    await scheduling.start(job, six, minute)
    scheduling.clocks.set(3653 * DAY)
    for _ in range(5):
        await scheduling.look()
        for name in ("job", "six", "minute"):
            await scheduling.ended(name)
    assert [len(one.runs) for one in (job, six, minute)] == [0, 1, 1]  # an interval is real time
    await scheduling.passes(60)
    await scheduling.ended()
    assert len(job.runs) == 1


@pytest.mark.parametrize("step", [-HOUR, -3653 * DAY])
async def test_set_back_nothing_falls_silent_and_nothing_runs_too_often(
    scheduling: Scheduling, job: RecordedJob, step: float
) -> None:
    minute = RecordedJob("minute", Cron("* * * * *"))
    await scheduling.start(job, minute)
    scheduling.clocks.set(step)
    await scheduling.look()
    for _ in range(10):
        await scheduling.passes(60)
        await scheduling.ended()
        await scheduling.ended("minute")
    assert [len(one.runs) for one in (job, minute)] == [10, 10]


async def test_a_change_of_the_clock_is_told(scheduling: Scheduling, caplog: pytest.LogCaptureFixture) -> None:
    await scheduling.start()
    await scheduling.passes(1000)
    assert "the clock was set" not in caplog.text
    scheduling.clocks.set(-1800.0)
    await scheduling.look()
    assert "-1800.0 s" in caplog.text


async def test_set_back_while_the_daemon_is_down_nothing_falls_silent(scheduling: Scheduling, job: RecordedJob) -> None:
    six = RecordedJob("six", SIX_HOURS)
    await scheduling.start(job, six)
    scheduling.clocks.set(-30 * DAY)
    await scheduling.again(job, six)
    assert scheduling.state().next_run_at == NOW - 30 * DAY + 60
    assert scheduling.state("six").next_run_at == SIX - 30 * DAY


# -- the disk


async def test_no_run_begins_that_cannot_be_written_down(
    scheduling: Scheduling, job: RecordedJob, caplog: pytest.LogCaptureFixture
) -> None:
    await scheduling.start(job)
    async with Locked(scheduling.database):
        await scheduling.passes(60)
        with pytest.raises(StoreUnavailable):
            await scheduling.part.scheduler.run_now("job")
        with pytest.raises(StoreUnavailable):
            await scheduling.part.scheduler.act("job", Action.STOP)
    assert (job.runs, scheduling.state().state, scheduling.state().running_since) == ([], State.WORKING, None)
    assert "a job waits: " in caplog.text
    await scheduling.look()
    await scheduling.ended()
    assert len(job.runs) == 1


async def test_an_end_that_cannot_be_written_is_no_reason_to_run_again(
    scheduling: Scheduling, job: RecordedJob, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    job.gate.clear()
    await scheduling.start(job)
    await scheduling.passes(60)
    async with Locked(scheduling.database):
        job.gate.set()
        state = await scheduling.ended()
        assert state.last_outcome is Outcome.SUCCEEDED
        await until(lambda: "cannot be written down yet" in caplog.text)
        await scheduling.look()
    await scheduling.look()
    assert len(job.runs) == 1
    await scheduling.ended_on_disk()
    await scheduling.again(job)
    assert (scheduling.state().last_outcome, scheduling.state().running_since) == (Outcome.SUCCEEDED, None)
