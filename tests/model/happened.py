"""What a run of the machine must have seen at least once, or it tried less than it seems."""

from __future__ import annotations

from enum import StrEnum

from truth import TaskTruth

from vestnik.delivery.model import Deferred, Delivered, Outcome, RefusedForGood, TaskState


class Happened(StrEnum):
    ACCEPTED = "a message was accepted"
    SCHEDULED = "a message was accepted with a delay"
    REPEATED = "an idempotency key came again with the same content"
    OTHER_CONTENT = "an idempotency key came again with other content"
    KEY_OVER = "an idempotency key came again after its time"
    ID_AFTER_CLOCK_BACK = "a message was accepted at an earlier time than one before, after a restart"
    CLAIMED = "a task was claimed"
    NOT_DUE = "a task was asked for and none was due"
    OVERTAKEN = "a single send overtook a mailing"
    DELIVERED = "the far side said yes"
    REFUSED = "the far side refused"
    PUT_OFF = "a try failed and another follows"
    GIVEN_UP = "the last try failed"
    FLOOD_CONTROL = "the far side asked to wait"
    UNSEEN = "an end was not seen, and another try follows"
    UNSEEN_LAST = "an end was not seen, and no try follows"
    CANCELED_INSTEAD = "what was to be put off was canceled"
    LATE = "an outcome came late, with nobody running it"
    LATE_AND_RUNNING = "an outcome came late, while a later claim was running"
    LATE_GIVE_BACK = "a task was given back late"
    GIVEN_BACK = "a task was given back at once"
    GIVEN_BACK_WAITING = "a task was given back to wait"
    CANCELED = "a message was canceled before it went"
    CANCEL_REQUESTED = "a cancel came while a task was running"
    CANCEL_TOO_LATE = "a cancel came when all had ended"
    RESENT = "an ended message was sent again"
    EXPIRED = "a task expired"
    FORGOTTEN = "a message ended long ago and left"
    REPEATED_AFTER_ALL = "an idempotency key came again when its message had left"
    CRASHED = "the process died with tasks running"
    CRASHED_FOR_GOOD = "the process died with a task running for the last time"
    CRASHED_IDLE = "the process died with nothing running"
    RESTARTED = "a clean restart gave tasks back"
    HELD = "a paused channel was asked for a task that was due"
    HELD_OVER_RESTART = "a channel stayed paused over a restart"
    MAINTENANCE = "a task that was due was asked for during maintenance"
    CLOCK_FORWARD = "the clock jumped forward"
    CLOCK_BACK = "the clock jumped back"
    PUT_OFF_EARLIER = "a task was put off when the clock stood before its due time"
    FOLLOWED_BACK = "what waited for the old time was moved after the clock was set back"
    REOPENED = "the database was reopened with tasks running"


def what_came(task: TaskTruth, outcome: Outcome) -> Happened:
    """Of a try that ended in `outcome`, by what became of its task."""
    match outcome:
        case Delivered():
            return Happened.DELIVERED
        case RefusedForGood():
            return Happened.REFUSED
        case _ if task.state is TaskState.CANCELED:
            return Happened.CANCELED_INSTEAD
        case Deferred(maybe_sent=True):
            return Happened.UNSEEN_LAST if task.ended else Happened.UNSEEN
        case Deferred(counts=False):
            return Happened.FLOOD_CONTROL
        case _:
            return Happened.GIVEN_UP if task.ended else Happened.PUT_OFF
