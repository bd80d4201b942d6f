"""The libraries that the workers stand on, with nothing around them: what delivering is compared with.

    python -m benchmarks.bare_clients gateway|mail PORT AT_ONCE SECONDS

Prints deliveries a second. Same loop (uvloop), same requests and mails as the workers'.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import aiohttp
import uvloop
from aiosmtplib import SMTP
from yarl import URL

from benchmarks.store import TEXT
from vestnik.delivery.workers.email_address import parse_mailbox
from vestnik.delivery.workers.email_message import compose

HOST = "127.0.0.1"
PHONE, RECIPIENT, SENDER, SUBJECT = "79990000001", "anna@example.test", "Vestnik <vestnik@example.test>", "News"


async def gateway(port: int, at_once: int, seconds: float) -> float:
    """GET requests like the SMS worker's to a Kannel, over one aiohttp session with kept connections."""
    variables = {"username": "bench", "password": "bench", "from": "Duty", "charset": "UTF-8", "to": PHONE}
    query = urlencode({**variables, "text": TEXT, "coding": "0", "account": "vestnik-1"}, quote_via=quote)
    url = URL(f"http://{HOST}:{port}/cgi-bin/sendsms?{query}", encoded=True)

    async with aiohttp.ClientSession() as session:

        async def deliver() -> None:
            async with session.get(url) as response:
                response.raise_for_status()
                await response.text()

        return await rate([deliver] * at_once, seconds)


async def mail(port: int, at_once: int, seconds: float) -> float:
    """`sendmail(bytes)` over as many connections, opened before the clock starts."""
    sender = parse_mailbox(SENDER)
    content = compose(
        sender=sender,
        recipient=RECIPIENT,
        subject=SUBJECT,
        text=TEXT,
        message_id="<1.0123456789abcdef@example.test>",
        date=datetime.now(UTC),
    )
    clients = [SMTP(hostname=HOST, port=port, start_tls=False, local_hostname="localhost") for _ in range(at_once)]
    for client in clients:
        await client.connect()
        await client.ehlo()

    def delivering(client: SMTP) -> Callable[[], Awaitable[object]]:
        return lambda: client.sendmail(sender.address, [RECIPIENT], content)

    found = await rate([delivering(client) for client in clients], seconds)
    for client in clients:
        client.close()
    return found


async def rate(deliveries: list[Callable[[], Awaitable[object]]], seconds: float) -> float:
    """All of them at once, each again and again."""
    began = time.perf_counter()

    async def one(deliver: Callable[[], Awaitable[object]]) -> int:
        count = 0
        while time.perf_counter() < began + seconds:
            await deliver()
            count += 1
        return count

    counts = await asyncio.gather(*(one(deliver) for deliver in deliveries))
    return sum(counts) / (time.perf_counter() - began)


if __name__ == "__main__":
    uvloop.install()
    name, port, at_once, seconds = sys.argv[1:]
    client = gateway if name == "gateway" else mail
    print(json.dumps({"rate": asyncio.run(client(int(port), int(at_once), float(seconds)))}))
