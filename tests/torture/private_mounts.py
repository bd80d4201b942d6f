"""File systems that only we see: a mount namespace that goes, with all its mounts, when the test does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType

import pytest
from programs import require_program

PATIENCE = 60.0


class PrivateMounts:
    """Runs a shell script that mounts, in a namespace of its own, and keeps it. Use as an async context manager."""

    def __init__(self, script: str, *arguments: str) -> None:
        """`script` gets the arguments as $1…; what it puts into the background ends with the namespace."""
        self._script = script
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> PrivateMounts:
        unshare = [require_program("unshare"), "--mount", "--propagation", "private"]
        await _skip_unless_allowed(unshare)
        # Waits on its standard input: that is closed when we end, however we do.
        script = f"{self._script}\necho mounted; read -r _ || true; kill -9 0"
        self._process = await asyncio.create_subprocess_exec(
            *unshare, "sh", "-ec", script, "sh", *self._arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        said = b""
        async with asyncio.timeout(PATIENCE):
            while not said.endswith(b"mounted\n"):
                line = await self._process.stdout.readline()
                assert line, said.decode()
                said += line
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            await self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def entering(self) -> list[str]:
        """A command that becomes its arguments, where the mounts are seen."""
        return [require_program("nsenter"), f"--mount=/proc/{self.pid}/ns/mnt", "--"]

    def seen_from_here(self, path: Path) -> Path:
        """The same file by a path outside of the namespace. Not for SQLite, which follows symbolic links by itself."""
        return Path(f"/proc/{self.pid}/root{path}")


async def _skip_unless_allowed(unshare: list[str]) -> None:
    """Containers seldom may mount: they have root, and not the capability."""
    process = await asyncio.create_subprocess_exec(*unshare, "true", stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    if process.returncode:
        pytest.skip(f"nothing can be mounted here, which takes CAP_SYS_ADMIN: {said.decode().strip()}")
