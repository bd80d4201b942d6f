"""Talks to the running daemon, with a token it signs itself."""

from __future__ import annotations

import http.client
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from vestnik.cli.keys import sign
from vestnik.configuration import Configuration
from vestnik.errors import VestnikError
from vestnik.settings.values import Address

TIMEOUT = 30.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to connect when the daemon listens everywhere


class DaemonUnreachable(VestnikError):
    code = "daemon_unreachable"


class Answered(VestnikError):
    """The daemon said no. `status` is HTTP's."""

    code = "refused"

    def __init__(self, status: int, description: str) -> None:
        super().__init__(description)
        self.status = status


class DaemonClient:
    def __init__(self, configuration: Configuration) -> None:
        settings = configuration.settings
        self._listen = settings.service.listen
        role = settings.auth.jwt.roles[0]
        self._token = sign(configuration, role=role, subject="cli", lifetime=timedelta(minutes=5))

    def get(self, path: str, query: dict[str, Any] | None = None) -> Any:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self._call("GET", f"{path}?{urlencode(given)}" if given else path)

    def post_form(self, path: str, fields: dict[str, Any]) -> dict[str, str]:
        """Returns the answer's headers, by names in lower case."""
        body = urlencode({name: value for name, value in fields.items() if value is not None})
        headers: dict[str, str] = {}
        self._call("POST", path, body.encode(), "application/x-www-form-urlencoded", headers)
        return headers

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self._call(method, path, None if body is None else json.dumps(body).encode(), "application/json")

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str | None = None,
        headers_out: dict[str, str] | None = None,
    ) -> Any:
        """The JSON that was answered, or None. Raises Answered, DaemonUnreachable."""
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
            raise DaemonUnreachable(_another(self._listen)) from error
        finally:
            connection.close()
        if response.status >= 400:
            raise Answered(response.status, _description(response.status, data))
        if headers_out is not None:
            headers_out.update((name.lower(), value) for name, value in response.headers.items())
        try:
            return json.loads(data) if data else None
        except ValueError as error:
            raise DaemonUnreachable(_another(self._listen)) from error


def _another(listen: Address) -> str:
    return f"what answers at {listen} is not this daemon"


def _description(status: int, data: bytes) -> str:
    if status == 503 and not data:
        return "the daemon is in maintenance"
    try:
        return str(json.loads(data)["description"])
    except (ValueError, KeyError, TypeError):
        return f"the daemon answered {status}"
