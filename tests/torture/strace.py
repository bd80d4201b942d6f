"""strace as a fault injector: the command under which a daemon is started."""

from __future__ import annotations

from programs import require_program


def injecting(call: str, fault: str) -> list[str]:
    """`fault` in strace's words, such as `signal=KILL:when=3` or `error=EIO:when=5+`; each thread counts for itself."""
    strace = require_program("strace")
    # -D keeps the process ours: signals go to it and its exit code comes from it, not from strace.
    return [strace, "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{fault}"]
