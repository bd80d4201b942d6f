"""Talks to the running daemon, with a token it signs itself."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from vestnik.cli.answer import Answer, NotVestnik
from vestnik.cli.keys import sign
from vestnik.cli.options import one_line
from vestnik.configuration import Configuration
from vestnik.errors import VestnikError
from vestnik.settings.values import Address

TIMEOUT = 30.0
_PAGE = 200  # objects asked for at once
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to connect when the daemon listens everywhere


class DaemonUnreachable(VestnikError):
    code = "daemon_unreachable"


class Answered(VestnikError):
    """The daemon said no."""

    code = "refused"


class DaemonClient:
    """Its methods raise DaemonUnreachable, Answered, and NotVestnik when something else answers."""

    def __init__(self, configuration: Configuration) -> None:
        settings = configuration.settings
        self._listen = settings.service.listen
        role = settings.auth.jwt.roles[0]
        self._token = sign(configuration, role=role, subject="cli", lifetime=timedelta(minutes=5))

    def get(self, path: str, query: dict[str, Any] | None = None) -> Answer:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self._object(self._ask("GET", f"{path}?{urlencode(given)}" if given else path)[1])

    def pages(self, path: str, key: str, query: dict[str, Any]) -> Iterator[Answer]:
        """The objects under `key`, of one page after the other."""
        after = None
        while True:
            page = self.get(path, {**query, "after": after, "limit": _PAGE})
            yield from page.many(key, Answer)
            after = page["next"]
            if after is None:
                return

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        octets = None if body is None else json.dumps(body).encode()
        return self._object(self._ask(method, path, octets, "application/json")[1])

    def delete(self, path: str) -> None:
        if self._ask("DELETE", path)[1]:
            raise NotVestnik(self._listen)

    def post_form(self, path: str, fields: dict[str, Any], *, header: str) -> str:
        """Returns this header of the answer."""
        body = urlencode({name: value for name, value in fields.items() if value is not None})
        found = self._ask("POST", path, body.encode(), "application/x-www-form-urlencoded")[0].get(header)
        if found is None:
            raise NotVestnik(self._listen)
        return found

    def _ask(
        self, method: str, path: str, body: bytes | None = None, content_type: str | None = None
    ) -> tuple[http.client.HTTPMessage, bytes]:
        """The headers and the body that were answered."""
        host = _ANY.get(self._listen.host, self._listen.host)
        connection = http.client.HTTPConnection(host, self._listen.port, timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {self._token}"}
        if body is not None and content_type:
            headers["Content-Type"] = content_type
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            data = response.read()
        except OSError as error:
            cause = error.strerror or str(error)
            raise DaemonUnreachable(f"cannot reach the daemon at {self._listen}: {cause}") from error
        except http.client.HTTPException as error:
            raise NotVestnik(self._listen) from error
        finally:
            connection.close()
        if response.status >= 400:
            raise Answered(_refusal(self._listen, response.status, data))
        return response.headers, data

    def _object(self, data: bytes) -> Answer:
        try:
            found = json.loads(data, object_hook=partial(Answer, self._listen))
        except (ValueError, RecursionError) as error:
            raise NotVestnik(self._listen) from error
        if not isinstance(found, Answer):
            raise NotVestnik(self._listen)
        return found


def _refusal(listen: Address, status: int, data: bytes) -> str:
    if status == 503 and not data:
        return "the daemon is in maintenance"
    try:
        description = json.loads(data)["description"]
    except (ValueError, KeyError, TypeError, RecursionError):
        description = None
    if isinstance(description, str):
        return one_line(description)
    return f"the daemon answered {status}, and not as Vestnik would: is it what listens at {listen}?"
