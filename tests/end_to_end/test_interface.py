"""The whole HTTP interface against its own description."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from daemons import CHANNELS, QUIZ, RunningDaemon
from openapi_spec_validator import validate


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[RunningDaemon]:
    """With every part that has routes."""
    async with RunningDaemon(tmp_path, channels=CHANNELS + QUIZ) as running:
        yield running


async def document(daemon: RunningDaemon) -> dict[str, Any]:
    async with daemon.http.get(f"{daemon.url}/api/openapi.json") as response:
        found: dict[str, Any] = await response.json()
        return found


async def test_the_document_is_valid_and_names_every_route(daemon: RunningDaemon) -> None:
    described = await document(daemon)
    validate(described)
    assert {(method, path) for path, operations in described["paths"].items() for method in operations} == {
        ("post", "/api/send/{channel}"),
        ("get", "/api/ping"),
        ("get", "/api/messages"),
        ("get", "/api/messages/{id}"),
        ("delete", "/api/messages/{id}"),
        ("post", "/api/messages/{id}/resend"),
        ("get", "/api/channels"),
        ("put", "/api/channels/{name}/state"),
        ("get", "/jobs"),
        ("put", "/jobs/{jobId}/mode"),
        ("put", "/jobs/{jobId}/settings"),
        ("put", "/jobs/{jobId}/state"),
        ("post", "/jobs/{jobId}/run"),
        ("post", "/jobs/{jobId}/reset"),
        ("get", "/questions"),
        ("post", "/questions/approve"),
        ("post", "/questions/reject"),
        ("get", "/questions/{id}"),
        ("patch", "/questions/{id}"),
        ("post", "/questions/{id}/approve"),
        ("post", "/questions/{id}/reject"),
        ("get", "/clients"),
        ("post", "/clients"),
        ("post", "/clients/import"),
        ("get", "/clients/export"),
        ("get", "/clients/{id}"),
        ("put", "/clients/{id}"),
        ("patch", "/clients/{id}"),
        ("delete", "/clients/{id}"),
        ("get", "/mailings"),
        ("post", "/mailings"),
        ("get", "/mailings/{id}"),
        ("put", "/mailings/{id}"),
        ("patch", "/mailings/{id}"),
        ("delete", "/mailings/{id}"),
        ("get", "/mailings/stats"),
        ("get", "/mailings/{id}/stats"),
        ("get", "/mailings/{id}/messages"),
        ("get", "/mailings/{id}/forecast"),
        ("get", "/metrics"),
    }


async def test_the_pages_about_the_interface_need_nothing_from_elsewhere(daemon: RunningDaemon) -> None:
    async with daemon.http.get(f"{daemon.url}/docs/") as response:
        page = await response.text()
        assert response.status == 200
    assert "http://" not in page
    assert "https://" not in page
    for file in ("swagger-ui.css", "swagger-ui-bundle.js"):
        async with daemon.http.get(f"{daemon.url}/docs/static/{file}") as response:
            assert response.status == 200


async def test_a_page_whose_name_points_here_sends_nothing(daemon: RunningDaemon) -> None:
    form = {"message": "Hello"}
    for host, status in (("evil.example", 403), ("localhost:1", 204)):
        async with daemon.http.post(f"{daemon.url}/api/send/mail", data=form, headers={"Host": host}) as response:
            assert response.status == status


# Answers that schemathesis cannot foresee. A canceled message does not disappear, what became of it can still be asked
# for. An idempotency key that comes with other content is refused, though each request by itself is right. Of a job,
# `schedule` is a language of its own, settings depend on the mode, and a pause ends in the future. Questions are chosen
# by their ids or by a filter, not by both. Of clients and mailings, a zone has to be in the database, a phone nobody
# else's, a mailing ends after it starts, and a CSV has a header.
FORESEEN = """
[[operations]]
include-name = "DELETE /api/messages/{id}"
checks.use_after_free.enabled = false
[[operations]]
include-name = "POST /api/send/{channel}"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 422, 429, "5xx"]
[[operations]]
include-path-regex = "^/jobs/"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429, "5xx"]
[[operations]]
include-path-regex = "^/questions/(approve|reject)$"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429, "5xx"]
[[operations]]
include-path-regex = "^/questions/.id"
parameters = {"path.id" = "01900000-0000-7000-8000-000000000000"}
[[operations]]
include-path-regex = "^/(clients|mailings)"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 413, 422, 429, "5xx"]
"""


#: A few at a time: schemathesis tries wrong tokens, and after ten in a minute the answer is 429.
TAGS = [
    ("messages", "channels", "operating"),
    ("jobs",),
    ("questions",),
    ("clients",),
    ("mailings",),
]


async def test_schemathesis_leaves_no_operation_out(daemon: RunningDaemon) -> None:
    operations = [o for path in (await document(daemon))["paths"].values() for o in path.values()]
    assert {tag for operation in operations for tag in operation["tags"]} == {tag for tags in TAGS for tag in tags}


@pytest.mark.parametrize("tags", TAGS)
async def test_schemathesis_finds_no_failure_whatever_it_asks_for(daemon: RunningDaemon, tags: tuple[str, ...]) -> None:
    await run_schemathesis(daemon, FORESEEN, *(f"--include-tag={tag}" for tag in tags))


@pytest.mark.parametrize("tags", TAGS)
async def test_schemathesis_finds_no_failure_with_things_that_exist(
    daemon: RunningDaemon, tags: tuple[str, ...]
) -> None:
    message_id = (await daemon.send("nowhere", "x")).headers["X-Message-Id"]
    names = '"path.channel" = "nowhere"\n"path.name" = "probe"\n"path.jobId" = "nightly"\n'
    selection = [f"--include-tag={tag}" for tag in tags]
    if tags[0] in ("clients", "mailings"):
        message_id = str(await made(daemon, tags[0]))
        selection.append("--exclude-method=DELETE")  # it has to go on existing
    existing = f'[parameters]\n{names}"path.id" = {message_id}\n'
    await run_schemathesis(daemon, existing + FORESEEN, *selection)


async def made(daemon: RunningDaemon, what: str) -> int:
    """The id of a client or a mailing."""
    end = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    mailing = {"channel": "nowhere", "text": "x", "start_at": end, "end_at": end.replace("+00", "-01")}
    body = {"clients": {"phone": "79991234567"}, "mailings": mailing}[what]
    async with daemon.http.post(f"{daemon.url}/{what}", json=body, headers=await daemon.token()) as response:
        found: int = (await response.json())["id"]
        return found


async def run_schemathesis(daemon: RunningDaemon, config: str, *selection: str) -> None:
    """Every check that there is, over every operation selected, with an administrator's token."""
    (daemon.folder / "schemathesis.toml").write_text(config)
    token = (await daemon.token())["Authorization"]
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{daemon.url}/api/openapi.json"),
        *("--checks", "all", "--max-examples", "30", "--seed", "1", "--header", f"Authorization: {token}"),
        *selection,
    ]
    env = {**os.environ, "PYTHONWARNINGS": "default"}
    result = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=110, env=env, cwd=daemon.folder, check=False
    )
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
