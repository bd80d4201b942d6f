"""`python -m benchmarks.peers.enqueue MODULE SECONDS [THREADS]`: enqueues with one peer, and prints what it managed.

Apart from the peers' modules: a task defined in `__main__` has a name that no worker knows.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys

import uvloop


def main(module: str, seconds: str, threads: str = "") -> None:
    enqueue = importlib.import_module(f"benchmarks.peers.{module}").enqueue
    if inspect.iscoroutinefunction(enqueue):
        uvloop.install()
        asyncio.run(enqueue(float(seconds)))
    else:
        enqueue(float(seconds), int(threads))


if __name__ == "__main__":
    main(*sys.argv[1:])
