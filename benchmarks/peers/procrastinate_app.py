"""procrastinate over PostgreSQL."""

from __future__ import annotations

from procrastinate import App, PsycopgConnector

from benchmarks.peers.work import AT_ONCE, SERVICE, TEXT, by_coroutines, no_op

app = App(connector=PsycopgConnector(conninfo=SERVICE, min_size=1, max_size=AT_ONCE))


@app.task(name="task")
async def task(text: str) -> None:
    no_op(text)


async def enqueue(seconds: float) -> None:
    async with app.open_async():
        await by_coroutines(lambda: task.defer_async(text=TEXT), seconds)
