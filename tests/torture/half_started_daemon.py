"""The daemon with a channel whose worker cannot be started, when other channels deliver already."""

from __future__ import annotations

import asyncio

from vestnik.__main__ import main
from vestnik.delivery.workers.null import NullWorker


async def fail(_worker: NullWorker) -> None:
    await asyncio.sleep(0.3)
    raise RuntimeError("this worker cannot be started")


if __name__ == "__main__":
    NullWorker.start = fail  # type: ignore[method-assign, assignment]
    main()
