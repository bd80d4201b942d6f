"""The page, the dashboard and the rules name the metrics that a running daemon has: all of them, and no others."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from daemons import CHANNELS, QUIZ, RunningDaemon
from programs import require_program

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/metrics.md").read_text()
RULES = ROOT / "deploy/alerts.yaml"
DASHBOARD = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
METRIC = re.compile(r"\b(?:vestnik|process|python)_[a-z_]+")
SUFFIXES = re.compile(r"_(?:bucket|sum|count)$")


def documented() -> dict[str, str]:
    """Name to type."""
    return dict(re.findall(r"^\| `([a-z_]+)[^`]*` \| (counter|gauge|histogram) \|", PAGE, re.MULTILINE))


async def test_the_page_names_every_metric_with_its_type_and_every_endpoint(tmp_path: Path) -> None:
    async with RunningDaemon(tmp_path, channels=CHANNELS + QUIZ) as daemon:
        async with daemon.http.get(f"{daemon.url}/metrics") as response:
            text = await response.text()
        async with daemon.http.get(f"{daemon.url}/api/openapi.json") as response:
            described = await response.json()
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    # When a counter or histogram began is told of each, under a name of its own.
    assert documented() == {name: kind for name, kind in types.items() if not name.endswith("_created")}
    endpoints = {f"{method.upper()} {path}" for path, operations in described["paths"].items() for method in operations}
    assert set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", PAGE, re.MULTILINE)) == endpoints


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        yield variable["name"], variable.get("definition", "")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_the_dashboard_and_the_rules_use_only_documented_metrics() -> None:
    known = documented()
    for where, expression in expressions():
        for name in METRIC.findall(expression):
            plain = SUFFIXES.sub("", name)
            assert known.get(plain) == "histogram" if plain != name else name in known, f"{where}: {name}"


def test_every_rule_has_a_severity_and_says_what_is_wrong_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description"}


def test_prometheus_takes_the_rules() -> None:
    promtool = require_program("promtool")  # of Debian's package prometheus
    found = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_dashboard_has_no_overlapping_panels_and_asks_for_its_data_source() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [cell for panel in panels for cell in covered(panel["gridPos"])]
    assert len(set(cells)) == len(cells)
    assert all(x < 24 for x, _ in cells)
    for panel in panels:
        for target in panel.get("targets", []):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def covered(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y
