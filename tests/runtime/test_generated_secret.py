from __future__ import annotations

import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from vestnik.runtime.generated_secret import SecretUnreadable, read_or_make
from vestnik.web.auth import secret_problem


def test_a_secret_is_made_once_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "jwt"
    made = read_or_make(path)
    assert secret_problem(made) is None
    assert read_or_make(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["jwt"]


def test_two_secrets_are_two(tmp_path: Path) -> None:
    assert read_or_make(tmp_path / "a") != read_or_make(tmp_path / "b")


def test_of_two_that_start_at_once_both_have_the_same(tmp_path: Path) -> None:
    path = tmp_path / "jwt"
    with ProcessPoolExecutor(4, get_context("spawn")) as pool:
        found = set(pool.map(read_or_make, [path] * 8))
    assert len(found) == 1


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "jwt"
    read_or_make(path)
    path.chmod(mode)
    with pytest.raises(SecretUnreadable, match=f"^{path} can be read by others: chmod 600 {path}$"):
        read_or_make(path)


@pytest.mark.parametrize(("content", "wanted"), [(b"", "is empty"), (b" \n", "is empty"), (b"\xff" * 40, "not UTF-8")])
def test_a_file_without_a_secret_is_refused(content: bytes, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "jwt"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SecretUnreadable, match=wanted):
        read_or_make(path)


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(SecretUnreadable, match=r"Not a directory|File exists"):
        read_or_make(tmp_path / "taken" / "jwt")
