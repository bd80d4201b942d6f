"""The lock files say the same as pyproject.toml and as each other, pin everything by hash, and name no index."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ["requirements.txt", "requirements-dev.txt", "benchmarks/requirements.txt"]


def read_toml(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text())


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: list[str]) -> dict[str, str]:
    matches = [re.fullmatch(r"([A-Za-z0-9._-]+)(.*)", requirement) for requirement in requirements]
    return {normal(match[1]): match[2] for match in matches if match}


def pinned(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def pipenv_pinned(section: str) -> dict[str, str]:
    packages = json.loads((ROOT / "Pipfile.lock").read_text())[section]
    return {normal(name): package["version"].removeprefix("==") for name, package in packages.items()}


def test_the_pipfile_names_the_packages_of_pyproject() -> None:
    project, pipfile = read_toml("pyproject.toml"), read_toml("Pipfile")

    wanted = declared(project["project"]["dependencies"] + project["build-system"]["requires"])
    wanted_for_development = declared(project["project"]["optional-dependencies"]["dev"])

    assert {normal(name): version for name, version in pipfile["packages"].items()} == wanted
    assert {normal(name): version for name, version in pipfile["dev-packages"].items()} == wanted_for_development


def test_pip_and_pipenv_install_the_same_versions() -> None:
    assert pipenv_pinned("default") == pinned("requirements.txt")
    both = pinned("requirements-dev.txt")
    different = {
        name: version for name, version in pipenv_pinned("develop").items() if both.get(name, version) != version
    }
    assert different == {}


def test_development_installs_what_runs_and_more() -> None:
    assert pinned("requirements.txt").items() <= pinned("requirements-dev.txt").items()


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_is_pinned_with_hashes(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    packages = [number for number, line in enumerate(lines) if re.match(r"\S+==", line)]

    assert packages
    assert all("--hash=sha256:" in lines[number + 1] for number in packages)


@pytest.mark.parametrize("name", [*REQUIREMENTS, "Pipfile", "Pipfile.lock", "pyproject.toml"])
def test_no_lock_file_says_where_to_install_from(name: str) -> None:
    text = (ROOT / name).read_text()

    assert not re.search(r"https?://|file://|index-url|find-links|trusted-host|\[\[source\]\]", text)


def test_the_pipfile_lock_has_no_sources() -> None:
    assert json.loads((ROOT / "Pipfile.lock").read_text())["_meta"]["sources"] == []
