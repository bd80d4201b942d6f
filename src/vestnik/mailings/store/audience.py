"""Whom a mailing is still for, in SQL: as `Audience.holds` tells it of one client."""

from __future__ import annotations

import json
from typing import Any

from vestnik.mailings.model import Mailing

#: Of a row of `client`, with the `values` of a mailing: it was not looked at yet, matches, and has no task. One may be
#: there already when the audience was changed, and is gone through once more.
TO_COME = """
client.id > :after
  AND (:codes = '[]' OR client.operator_code IN (SELECT value FROM json_each(:codes)))
  AND (:tags = '[]' OR client.tag IN (SELECT value FROM json_each(:tags)))
  AND NOT EXISTS (SELECT 1 FROM task WHERE task.mailing_id = :mailing AND task.client_id = client.id)
"""


def values(mailing: Mailing) -> dict[str, Any]:
    return {
        "mailing": mailing.id,
        "after": mailing.expanded_to,
        "codes": json.dumps(mailing.audience.operator_codes),
        "tags": json.dumps(mailing.audience.tags),
    }
