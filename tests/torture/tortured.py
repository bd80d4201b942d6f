"""The daemon under test: the real one, in a process of its own, started under whatever makes its life hard."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daemons import PATIENCE, RunningDaemon

CONFIG = """
service: {{listen: "127.0.0.1:{port}", state_dir: "{state}"}}
auth: {{send: open}}
channels:
  sink:
    worker: sms
    executors: 8
    params:
      gateway: http
      to: "79990000001"
      timeout: 10s
      request: {{url: "{gateway}/send", form: {{id: "{{id}}", phone: "{{phone}}", text: "{{text}}"}}}}
    retry: {{delay: 200ms, attempts: 1000}}
"""


class TorturedDaemon(RunningDaemon):
    """One channel, `sink`, with eight executors, to the gateway at the given URL."""

    def __init__(self, folder: Path, gateway: str, *, state: Path | None = None) -> None:
        super().__init__(folder)
        self.port = steady_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.state = state or folder / "var"
        self.config.write_text(CONFIG.format(port=self.port, state=self.state, gateway=gateway))
        #: Commands that become their arguments: where it and its command line live; what the daemon is started under.
        self.within: Sequence[str] = ()
        self.prefix: Sequence[str] = ()
        #: The Python program that is the daemon, and what is added to its environment.
        self.program: Sequence[str] = ("-m", "vestnik")
        self.environment: Mapping[str, str] = {}
        self._admin: dict[str, str] = {}

    @property
    def database(self) -> Path:
        return self.state / "vestnik.db"

    @property
    def said(self) -> str:
        """Everything that the last process wrote."""
        return "".join(self.log)

    async def start(self) -> None:
        assert await self.starts(), self.said

    async def starts(self) -> bool:
        """Start it; False when it ended before it was in service."""
        self.log.clear()
        self._ready.clear()
        self.process = await self._spawn("serve")
        self._reading = asyncio.create_task(self._read(self.process))
        async with asyncio.timeout(PATIENCE):
            await self._ready.wait()
        return "in service" in self.said

    async def ended(self) -> int:
        """Wait until it ends by itself; its exit code, negative for a signal."""
        return await self._end()

    async def drained(self, patience: float = 60.0) -> None:
        """Return when no task is open any more, as the daemon itself says."""
        async with asyncio.timeout(patience):
            while await self.open_tasks():
                await asyncio.sleep(0.1)

    async def open_tasks(self) -> int:
        channel = next(found for found in await self._channels() if found["name"] == "sink")
        return int(channel["waiting"] + channel["running"])

    async def _channels(self) -> list[dict[str, Any]]:
        if not self._admin:
            self._admin = await self.token()
        async with self.http.get(f"{self.url}/api/channels", headers=self._admin) as response:
            found: list[dict[str, Any]] = (await response.json())["channels"]
            return found

    async def killed_while_starting(self, after: float, before: Callable[[], None] = lambda: None) -> None:
        """Start it, and kill it so many seconds later, however far it came; `before` is called just before that."""
        process = await self._spawn("serve")
        await asyncio.sleep(after)
        before()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()

    async def _spawn(self, command: str, *arguments: str) -> asyncio.subprocess.Process:
        serving = command == "serve"
        return await asyncio.create_subprocess_exec(
            *self.within,
            *(self.prefix if serving else ()),
            sys.executable,
            *(self.program if serving else ("-m", "vestnik")),
            command,
            *arguments,
            env={**os.environ, "VESTNIK_CONFIG": str(self.config), **(self.environment if serving else {})},
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


def steady_port() -> int:
    """A port that no outgoing connection takes between two starts: below the range that the kernel gives out."""
    first = int.from_bytes(os.urandom(2)) % 10_000
    for number in range(10_000):
        port = 20_000 + (first + number) % 10_000
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port between 20000 and 30000")
