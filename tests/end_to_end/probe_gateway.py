"""The sandbox's probe gateway in a process of its own: daemons come and go, and it writes down what it was handed.

    python probe_gateway.py FILE

Prints its address; a line of FILE is one hand-over: phone, text and time. `PUT /fault/{fault}` switches faults.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TextIO

from aiohttp import web

from vestnik.sandbox.far_side import Arrival, Fault, Inbox
from vestnik.sandbox.sms_gateways import ProbeGateway


class Ledger(Inbox):
    def __init__(self, file: TextIO) -> None:
        super().__init__(size=1)
        self._file = file

    async def add(self, arrival: Arrival) -> None:
        self._file.write(json.dumps([arrival.recipient, arrival.text, time.time()]) + "\n")
        self._file.flush()


async def serve(path: Path) -> None:
    with path.open("a") as file:
        gateway = ProbeGateway(Ledger(file))
        gateway.slow_seconds = 0.5

        async def switch(request: web.Request) -> web.Response:
            await gateway.set_fault(Fault(request.match_info["fault"]))
            return web.Response(status=204)

        application = web.Application()
        application.add_routes([*gateway.routes(), web.put("/fault/{fault}", switch)])
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        sys.stdout.write(f"http://{host}:{port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
