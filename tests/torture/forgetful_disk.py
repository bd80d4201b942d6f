"""A file system that forgets what was not synced when the power is cut, as POSIX allows every file system to.

    python forgetful_disk.py MOUNTPOINT PLATTER LUCK

It is mounted by FUSE until it is killed: `kill -9` is the power cut. What survives is in the folder PLATTER, and a new
start with it shows what was synced. Harder than real ones: `fsync` of a file keeps its bytes, but only `fsync` of its
folder keeps its name; and of what nobody synced, each sector survives by LUCK alone (0 to 1), in whatever order.
"""

from __future__ import annotations

import errno
import json
import os
import random
import stat
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import Any

from mfusepy import FUSE, FuseOSError, Operations  # type: ignore[import-untyped]

SECTOR = 512  # bytes; a disk writes each whole or not at all


class File:
    def __init__(self, platter: Path, number: int, mode: int) -> None:
        self.number, self.mode = number, mode
        self._kept = platter / str(number)
        self.content = bytearray(self._kept.read_bytes() if self._kept.exists() else b"")
        self._unsynced: set[int] = set()  # sectors

    def write(self, data: bytes, offset: int, luck: float) -> None:
        end = offset + len(data)
        self.resize(max(len(self.content), end))
        self.content[offset:end] = data
        written = range(offset // SECTOR, -(-end // SECTOR))
        self._unsynced.update(written)
        if luck:
            self._keep({sector for sector in written if random.random() < luck})

    def resize(self, size: int) -> None:
        old = len(self.content)
        if size < old:
            del self.content[size:]
        else:
            self.content.extend(bytes(size - old))
        self._unsynced.update(range(min(size, old) // SECTOR, -(-max(size, old) // SECTOR)))

    def sync(self) -> None:
        self._keep(set(self._unsynced))
        os.truncate(self._kept, len(self.content))

    def _keep(self, sectors: set[int]) -> None:
        with os.fdopen(os.open(self._kept, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as kept:
            for first, last in _runs(sorted(sectors)):
                kept.seek(first * SECTOR)
                kept.write(self.content[first * SECTOR : (last + 1) * SECTOR])
        self._unsynced -= sectors


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Consecutive ones as (first, last)."""
    grouped = (list(run) for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]))
    return [(run[0][1], run[-1][1]) for run in grouped]


class Folder:
    def __init__(self, platter: Path, number: int, mode: int) -> None:
        self.number, self.mode = number, mode
        self._kept = platter / str(number)
        self.entries: dict[str, File | Folder] = {}

    def sync(self) -> None:
        entries = {name: [type(e).__name__, e.number, e.mode] for name, e in self.entries.items()}
        new = self._kept.with_suffix(".new")
        new.write_text(json.dumps(entries))
        new.replace(self._kept)

    def load(self, platter: Path, seen: dict[int, File | Folder]) -> None:
        """`seen` maps numbers to what has been loaded: two names may mean the same file."""
        if not self._kept.exists():
            return
        for name, (kind, number, mode) in json.loads(self._kept.read_text()).items():
            if number not in seen:
                seen[number] = (File if kind == "File" else Folder)(platter, number, mode)
                found = seen[number]
                if isinstance(found, Folder):
                    found.load(platter, seen)
            self.entries[name] = seen[number]


class ForgetfulDisk(Operations):  # type: ignore[misc]
    """What FUSE asks. Paths begin at the mount point; a handle is the number of a file."""

    use_ns = True

    def __init__(self, platter: Path, luck: float) -> None:
        self._platter = platter
        self._luck = luck
        self._root = Folder(platter, 1, 0o700)
        self._open: dict[int, File] = {}
        seen: dict[int, File | Folder] = {1: self._root}
        self._root.load(platter, seen)
        # A number is not used again, nor are bytes of a file that nobody can find any more.
        self._last = max((int(kept.name) for kept in platter.iterdir() if kept.name.isdigit()), default=1)

    def _find(self, path: str) -> File | Folder:
        found: File | Folder = self._root
        for name in filter(None, path.split("/")):
            if not isinstance(found, Folder):
                raise FuseOSError(errno.ENOTDIR)
            if name not in found.entries:
                raise FuseOSError(errno.ENOENT)
            found = found.entries[name]
        return found

    def _file(self, path: str) -> File:
        found = self._find(path)
        if not isinstance(found, File):
            raise FuseOSError(errno.EISDIR)
        return found

    def _parent(self, path: str) -> tuple[Folder, str]:
        folder, _, name = path.rpartition("/")
        found = self._find(folder)
        if not isinstance(found, Folder):
            raise FuseOSError(errno.ENOTDIR)
        return found, name

    def _number(self) -> int:
        self._last += 1
        return self._last

    # -- files

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        parent, name = self._parent(path)
        made = File(self._platter, self._number(), mode & 0o777)
        parent.entries[name] = self._open[made.number] = made
        return made.number

    def open(self, path: str, flags: int) -> int:
        found = self._file(path)
        self._open[found.number] = found
        if flags & os.O_TRUNC:
            found.resize(0)
        return found.number

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._open[fh].content[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._open[fh].write(data, offset, self._luck)
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        (self._file(path) if fh is None else self._open[fh]).resize(length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self._open[fh].sync()
        return 0

    # -- folders

    def mkdir(self, path: str, mode: int) -> int:
        parent, name = self._parent(path)
        parent.entries[name] = Folder(self._platter, self._number(), mode & 0o777)
        return 0

    def readdir(self, path: str, fh: int) -> list[str]:
        found = self._find(path)
        return [".", "..", *(found.entries if isinstance(found, Folder) else ())]

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        self._find(path).sync()
        return 0

    def unlink(self, path: str) -> int:
        self._file(path)
        parent, name = self._parent(path)
        del parent.entries[name]
        return 0

    def rmdir(self, path: str) -> int:
        parent, name = self._parent(path)
        del parent.entries[name]
        return 0

    def rename(self, old: str, new: str) -> int:
        found = self._find(old)
        (from_folder, from_name), (to_folder, to_name) = self._parent(old), self._parent(new)
        del from_folder.entries[from_name]
        to_folder.entries[to_name] = found
        return 0

    def link(self, target: str, source: str) -> int:
        parent, name = self._parent(target)
        if name in parent.entries:
            raise FuseOSError(errno.EEXIST)
        parent.entries[name] = self._find(source)
        return 0

    # -- attributes

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = self._find(path) if fh is None else self._open[fh]
        kind, size = (stat.S_IFREG, len(found.content)) if isinstance(found, File) else (stat.S_IFDIR, 0)
        now = time.time_ns()
        return {
            "st_mode": kind | found.mode, "st_size": size, "st_nlink": 1, "st_uid": os.getuid(), "st_gid": os.getgid(),
            "st_mtime": now, "st_atime": now, "st_ctime": now, "st_ino": found.number,
        }  # fmt: skip

    def chmod(self, path: str, mode: int) -> int:
        self._find(path).mode = mode & 0o777
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        return 0


def main(mountpoint: str, platter: str, luck: str) -> None:
    FUSE(ForgetfulDisk(Path(platter), float(luck)), mountpoint, foreground=True, nothreads=True, fsname="forgetful")


if __name__ == "__main__":
    main(*sys.argv[1:])
