"""The section `mailings`: literal YAML in, settings or exact error lines out."""

from __future__ import annotations

from pathlib import Path

import pytest

from vestnik.configuration import load
from vestnik.mailings.settings import MailingsSettings
from vestnik.settings.problems import ConfigurationError

CHANNELS = "channels: {nowhere: {worker: null}}\n"


def loaded(path: Path, section: str) -> MailingsSettings:
    path.joinpath("v.yaml").write_text(CHANNELS + section)
    return load(path / "v.yaml", serving=True).settings.mailings


def test_it_may_be_left_out(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == MailingsSettings()


def test_it_says_the_zone_of_clients_without_one_and_how_large_a_file_may_be(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "mailings: {timezone: Asia/Omsk, import_limit: 1GB}\n")
    assert (settings.timezone, settings.import_limit) == ("Asia/Omsk", 1 << 30)


@pytest.mark.parametrize(
    ("section", "wanted"),
    [
        (
            "mailings: {timezone: Moscow}\n",
            'v.yaml:2: mailings.timezone: found "Moscow", wanted a time zone of the IANA database, '
            "such as Europe/Moscow",
        ),
        ("mailings: {import_limit: 0}\n", 'v.yaml:2: mailings.import_limit: found "0", wanted at least 1'),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, section: str, wanted: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        loaded(tmp_path, section)
    assert str(raised.value) == f"{tmp_path}/{wanted}"
