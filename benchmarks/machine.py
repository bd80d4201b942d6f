"""What the benchmark runs on: which processor serves and which one loads, and what the report says about the rest."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: Databases, logs and configurations of a run; on the disk that the project is on, never in memory.
WORK = ROOT / ".cache" / "bench"

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]


def description() -> dict[str, str]:
    """Facts by name, in the order they are told."""
    return {
        "processor": f"{_cpu_model()}, {len(CORES)} cores ({_virtual()})",
        "memory": f"{_meminfo('MemTotal') / 2**20:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {_distribution()}",
        "disk": f"{_file_system(WORK)}; one fdatasync of 4 KiB takes {sync_seconds() * 1e6:,.0f} µs (median of 200)",
        "Python": platform.python_version(),
        "commit": commit(),
        "load average at the start": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def commit() -> str:
    """The commit that was measured, and whether the work tree differed from it."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "src")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}, with changes in src" if changed else head


def sync_seconds(tries: int = 200) -> float:
    """The median time in which the disk takes 4 KiB for good: no durable commit can be faster."""
    WORK.mkdir(parents=True, exist_ok=True)
    path, times = WORK / "sync", []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for _ in range(tries):
            began = time.perf_counter()
            os.pwrite(descriptor, bytes(4096), 0)
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return sorted(times)[tries // 2]


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _cpu_model() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _virtual() -> str:
    return "virtual, shared" if " hypervisor" in Path("/proc/cpuinfo").read_text() else "no hypervisor"


def _meminfo(name: str) -> int:
    """In KiB."""
    found = re.search(rf"^{name}:\s*(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _distribution() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "an unknown distribution")


def _file_system(path: Path) -> str:
    """The type of the file system under `path`: the longest mount point that is one of its parents."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    under = [mount for mount in mounts if path.resolve().is_relative_to(mount[1])]
    return max(under, key=lambda mount: len(mount[1]))[2]
