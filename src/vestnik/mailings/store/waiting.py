"""What is on its way to clients when they change or go. Tries under way are let be, and not repeated as they were."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vestnik.delivery.store import cancellation
from vestnik.mailings.model import Timestamp
from vestnik.mailings.store import following, mailings
from vestnik.storage.database import Connection

_OPEN = "SELECT DISTINCT message_id FROM task WHERE client_id = ? AND finished_at IS NULL"
_READDRESS = "UPDATE task SET recipient = :phone WHERE client_id = :id AND finished_at IS NULL"
# Tasks are there when what they look at is.
NOT_ENDED = """
SELECT * FROM mailing
WHERE end_at > :now AND deleted_at IS NULL AND EXISTS (SELECT 1 FROM mailing_now WHERE mailing_id = mailing.id)
"""
# By mailing and client, which is a look at an index for each; a client's past messages are not walked through. CROSS
# keeps the order of the tables: SQLite would begin with all tasks of the mailing, and go through the clients for each.
OF_MAILING = """
SELECT task.id, task.message_id, task.client_id, task.channel, task.state, task.due_at,
  client.phone, client.operator_code, client.tag, client.timezone
FROM json_each(:clients) AS changed
CROSS JOIN task ON task.mailing_id = :mailing AND task.client_id = changed.value
CROSS JOIN client ON client.id = task.client_id
WHERE task.finished_at IS NULL
"""
AT_ONCE = 250  # tasks that follow their clients in one transaction: some 10 ms


def cancel(connection: Connection, client_id: int, now: Timestamp) -> int:
    """Returns how many messages are not delivered any more, or not tried again."""
    messages = [row["message_id"] for row in connection.execute(_OPEN, (client_id,))]
    for message_id in messages:
        cancellation.cancel(connection, message_id, now)
    return len(messages)


def readdress(connection: Connection, client_id: int, phone: str) -> None:
    """Send what waits to another number; also what fails in a try under way, which has the old one with it."""
    connection.execute(_READDRESS, {"phone": phone, "id": client_id})


def clients_at_once(connection: Connection, now: Timestamp) -> int | None:
    """How many clients one transaction may change, with all that waits for them; None where nothing does."""
    running = len(connection.execute(NOT_ENDED, {"now": now}).fetchall())
    return max(1, AT_ONCE // running) if running else None


def follow(connection: Connection, changed: Sequence[int], now: Timestamp) -> None:
    """Clients have other tags, codes or zones: what waits for them goes by these."""
    if not changed:
        return
    for row in connection.execute(NOT_ENDED, {"now": now}).fetchall():
        mailing = mailings.mailing_of(row)
        open_ = connection.execute(OF_MAILING, {"clients": json.dumps(changed), "mailing": mailing.id}).fetchall()
        following.bring_up_to_date(connection, mailing, open_, now)
