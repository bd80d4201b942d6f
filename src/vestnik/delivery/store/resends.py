"""Which messages were sent again, and as what."""

from __future__ import annotations

from collections.abc import Iterable

from vestnik.storage.database import Connection

# A resend can fail, and be sent again itself: so all that descend from a message are asked.
STANDING = """
WITH RECURSIVE resend (id) AS (
  SELECT id FROM message WHERE parent_id = :id
  UNION ALL
  SELECT message.id FROM resend JOIN message ON message.parent_id = resend.id
)
SELECT max(id) FROM resend
WHERE EXISTS (SELECT 1 FROM task WHERE message_id = resend.id AND state NOT IN ('failed', 'expired', 'canceled'))
"""


def standing(connection: Connection, message_ids: Iterable[int]) -> dict[int, int]:
    """Of each message the newest resend that is on its way or has reached somebody; without those that have none."""
    found = {i: connection.execute(STANDING, {"id": i}).fetchone()[0] for i in message_ids}
    return {message_id: resend for message_id, resend in found.items() if resend is not None}
