"""What becomes of a mailing's messages when it is changed or deleted while it runs.

What went out stays as it is. What waits is held at once, in the transaction of the change, and let go when `Sending`
has brought all of it up to date; a new text needs no such round, as it is looked up when a message is claimed.
"""

from __future__ import annotations

from vestnik.mailings.model import Mailing
from vestnik.mailings.store import following
from vestnik.storage.database import Connection


def apply_change(connection: Connection, old: Mailing, new: Mailing) -> None:
    """In the transaction that changed the mailing's row."""
    if new.text != old.text:
        following.say(connection, new.id, new.text)
    if new.audience != old.audience:
        following.expand_again(connection, new.id)
    if _plan(new) != _plan(old):
        following.begin(connection, new.id)


def apply_delete(connection: Connection, mailing: Mailing) -> None:
    """In the transaction that marked the mailing's row as deleted."""
    following.begin(connection, mailing.id)


def _plan(mailing: Mailing) -> tuple[object, ...]:
    return mailing.channel, mailing.start_at, mailing.end_at, mailing.audience, mailing.interval
