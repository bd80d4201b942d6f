"""Starts the real daemon from a literal YAML, in a process of its own, and talks to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

PATIENCE = 60.0  # seconds; every wait for the daemon is under it

CHANNELS = """
channels:
  alerts:
    worker: telegram
    params: {{token: "100000:sandbox-token", chat_id: "42", api_server: "{sandbox}/telegram", timeout: 2s}}
    retry: {{delay: 200ms, attempts: 100}}
  duty:
    worker: sms
    params: {{gateway: kannel, url: "{sandbox}/kannel/cgi-bin/sendsms", username: sandbox, password: sandbox,
             from: Duty, to: ["79990000001", "79990000002"], timeout: 2s}}
    retry: {{delay: 200ms, attempts: 100}}
  probe:
    worker: sms
    params: {{gateway: probe, url: "{sandbox}/probe", token: sandbox-token, to: "79990000001", timeout: 2s}}
    retry: {{delay: 200ms, attempts: 100}}
  mail:
    worker: email
    params: {{host: 127.0.0.1, port: {smtp}, tls: none, from: "Vestnik <v@example.test>",
             to: [a@example.test, b@example.test], subject: News, command_timeout: 2s, final_timeout: 2s}}
    retry: {{delay: 200ms, attempts: 100}}
  nowhere: {{worker: null}}
  slow: {{worker: null, params: {{delay: 1h}}}}
  fleeting: {{worker: null, queue: memory}}
"""

QUIZ = """
quiz:
  sources:
    opentdb: {{kind: opentdb, url: "{sandbox}/opentdb", mode: TIMER, interval: 3600000, amount: 2}}
    nightly: {{kind: opentdb, url: "{sandbox}/opentdb", mode: CRON, schedule: "30 2 * * *", timezone: Europe/Berlin}}
  export:
    {{url: "{sandbox}/main/questions", key: sandbox-key, mode: CRON, schedule: "0 */6 * * *", threshold: 1000000}}
"""

SERVICE = """
service: {{listen: "127.0.0.1:{port}", state_dir: "{state}"}}
auth: {{send: {send}}}
sandbox: {{listen: "127.0.0.1:{sandbox_port}", smtp: "127.0.0.1:{smtp}"}}
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class RunningDaemon:
    """One state directory; may be killed and started again. Use as an async context manager."""

    def __init__(self, folder: Path, *, channels: str = CHANNELS, send: str = "open") -> None:
        self.folder = folder
        self.port, self.sandbox_port, self.smtp = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.sandbox = f"http://127.0.0.1:{self.sandbox_port}"
        self.config = folder / "vestnik.yaml"
        values = {
            "port": self.port,
            "sandbox_port": self.sandbox_port,
            "smtp": self.smtp,
            "state": folder / "var",
            "sandbox": self.sandbox,
            "send": send,
        }
        self.config.write_text((SERVICE + channels).format(**values))
        self.log: list[str] = []
        self.process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> RunningDaemon:
        self._http = aiohttp.ClientSession()
        try:
            await self.start()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            await self.kill()
        await self.http.close()

    @property
    def http(self) -> aiohttp.ClientSession:
        assert self._http is not None
        return self._http

    async def start(self) -> None:
        """Return when it says that it is in service."""
        self._ready.clear()
        self.process = await self._spawn("serve")
        self._reading = asyncio.create_task(self._read(self.process))
        async with asyncio.timeout(PATIENCE):
            await self._ready.wait()
        assert self.process.returncode is None, "".join(self.log)

    async def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        await self._end()

    async def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await self._end()

    async def _end(self) -> int:
        assert self.process is not None
        assert self._reading is not None
        async with asyncio.timeout(40):
            code = await self.process.wait()
            await self._reading
        return code

    async def run(self, *arguments: str) -> tuple[int, str]:
        """One command of the CLI: exit code and everything it printed."""
        process = await self._spawn(*arguments)
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def do(self, *arguments: str) -> str:
        """One command of the CLI that has to succeed; what it printed."""
        code, said = await self.run(*arguments)
        assert code == 0, said
        return said

    async def send(self, channel: str, message: str, **fields: Any) -> aiohttp.ClientResponse:
        headers = fields.pop("headers", None)
        data = {"message": message, **fields}
        async with self.http.post(f"{self.url}/api/send/{channel}", data=data, headers=headers) as response:
            await response.read()
            return response

    async def message(self, message_id: str) -> dict[str, Any]:
        async with self.http.get(f"{self.url}/api/messages/{message_id}") as response:
            found: dict[str, Any] = await response.json()
            return found

    async def wait_for(self, message_id: str, *states: str) -> dict[str, Any]:
        """Ask until the message is in one of the states."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await self.message(message_id)
                if found["state"] in states:
                    return found
                await asyncio.sleep(0.05)

    async def set_fault(self, far_side: str, fault: str) -> None:
        async with self.http.put(f"{self.sandbox}/faults/{far_side}", json={"fault": fault}) as response:
            assert response.status == 200, await response.text()

    async def arrivals(self, far_side: str) -> list[dict[str, Any]]:
        async with self.http.get(f"{self.sandbox}/inbox", params={"far_side": far_side}) as response:
            found: list[dict[str, Any]] = (await response.json())["arrivals"]
            return found

    async def token(self) -> dict[str, str]:
        """Headers of an administrator."""
        code, token = await self.run("token", "--role", "admin")
        assert code == 0, token
        return {"Authorization": f"Bearer {token.strip()}"}

    async def _spawn(self, command: str, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "vestnik",
            command,
            *arguments,
            env={**os.environ, "VESTNIK_CONFIG": str(self.config)},
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.log.append(line.decode())
            if "in service" in self.log[-1]:
                self._ready.set()
        self._ready.set()  # it ended: whoever waits for it sees that
