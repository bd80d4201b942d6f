"""Clients and mailings as an administrator's program sees them: the routes in the daemon's own application."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient
from deliveries import JWT_SECRET, SetClock

from vestnik.delivery.build import ConfiguredChannel, DeliveryPart
from vestnik.delivery.settings import ChannelSettings
from vestnik.delivery.workers.catalogue import find_worker
from vestnik.mailings.build import MailingsPart
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.storage.database import Database
from vestnik.web.auth import JwtSettings, Tokens

PHONE = "79991234567"


def configured(worker: str, params: dict[str, Any] | None = None, **settings: Any) -> ConfiguredChannel:
    checked = find_worker(worker).Settings.model_validate(params or {})
    return ConfiguredChannel(ChannelSettings.model_validate({"worker": worker, **settings}), checked)


def channels() -> dict[str, ConfiguredChannel]:
    """`sms` and `nowhere` reach phones and keep what waits; the others lack one of both."""
    sms = {"gateway": "probe", "url": "http://127.0.0.1:9/", "token": "t0ken", "to": PHONE, "max_segments": 1}
    return {
        "sms": configured("sms", sms),
        "nowhere": configured("null"),
        "fleeting": configured("null", queue="memory"),
        "office-mail": configured("email", {"host": "127.0.0.1", "port": 9, "from": "v@a.test", "to": ["a@a.test"]}),
        "alerts": configured("telegram", {"token": "1:a", "chat_id": "1"}),
    }


class Administered:
    """The parts, not started, and their routes behind aiohttp's test client."""

    def __init__(
        self,
        client: TestClient[web.Request, web.Application],
        database: Database,
        clock: SetClock,
        maintenance: MaintenanceFlag,
        delivery: DeliveryPart,
        part: MailingsPart,
    ) -> None:
        self.http = client
        self.database = database
        self.clock = clock
        self.maintenance = maintenance
        self.delivery = delivery
        self.part = part

    @staticmethod
    def token(role: str = "admin") -> dict[str, str]:
        signed = Tokens(JwtSettings(), JWT_SECRET).sign(role=role, subject="test", lifetime=timedelta(minutes=5))
        return {"Authorization": f"Bearer {signed}"}

    async def ask(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """The status and the JSON of an answer; None for an empty one."""
        async with self.http.request(method, path, json=body, params=query, headers=self.token()) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def done(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """The JSON of an answer that has to be a yes."""
        status, answer = await self.ask(method, path, body, **query)
        assert status < 300, answer
        return answer

    async def refused(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, list[str]]:
        """The status of a no, and the fields that it names."""
        status, answer = await self.ask(method, path, body, **query)
        assert status >= 400, answer
        assert answer["description"]
        return status, sorted(answer.get("errors", {}))

    async def client(self, phone: str = PHONE, **fields: Any) -> dict[str, Any]:
        """A new one."""
        found: dict[str, Any] = await self.done("POST", "/clients", {"phone": phone, **fields})
        return found

    async def mailing(self, **fields: Any) -> dict[str, Any]:
        """A new one, for an hour from now on unless the fields say otherwise."""
        found: dict[str, Any] = await self.done("POST", "/mailings", {**self.an_hour(), **fields})
        return found

    def an_hour(self, *, begins_in: float = 0.0) -> dict[str, Any]:
        """The body of a mailing."""
        starts = self.clock.now + begins_in
        return {"channel": "sms", "text": "Hello", "start_at": at(starts), "end_at": at(starts + 3600)}

    async def import_csv(self, body: Any, **query: str) -> tuple[int, Any]:
        headers = {**self.token(), "Content-Type": "text/csv"}
        async with self.http.post("/clients/import", data=body, params=query, headers=headers) as response:
            return response.status, await response.json()

    async def exported(self, **query: str) -> str:
        async with self.http.get("/clients/export", params=query, headers=self.token()) as response:
            assert response.status == 200
            return await response.text()


def at(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
