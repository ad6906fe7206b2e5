"""Credentials are made once, by whoever comes first, and only their owner reads them."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clary.errors import FormatError, StorageError, UsageError
from clary.formats.credentials import Credentials
from clary.settings import Settings


def test_they_look_like_those_of_aws(tmp_path: Path) -> None:
    credentials = Credentials.ensure(Settings(home=tmp_path), {})
    assert credentials.access_key.startswith("AKIA")
    assert len(credentials.access_key) == 20
    assert len(credentials.secret_key) == 40
    assert credentials.region == "us-east-1"


def test_only_the_owner_reads_them(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    Credentials.ensure(settings, {})
    assert stat.S_IMODE(settings.credentials_file.stat().st_mode) == 0o600
    assert list(settings.home.iterdir()) == [settings.credentials_file]


def test_all_who_come_at_once_get_the_same(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda _: Credentials.ensure(settings, {}), range(64)))
    assert len({credentials.access_key for credentials in found}) == 1


def test_the_first_environment_gives_the_region(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert Credentials.ensure(settings, {"AWS_DEFAULT_REGION": "eu-west-1"}).region == "eu-west-1"
    assert Credentials.ensure(settings, {"AWS_REGION": "us-west-2"}).region == "eu-west-1"


def test_a_region_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="AWS_REGION is 'here': set it to the name of a region"):
        Credentials.ensure(Settings(home=tmp_path), {"AWS_REGION": "here"})


def test_the_secret_is_not_shown(tmp_path: Path) -> None:
    credentials = Credentials.generate("us-east-1")
    assert credentials.secret_key not in f"{credentials} {credentials!r}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not readable as JSON"),
        ("[]", "version None"),
        (json.dumps({"version": 99}), "install a newer Clary"),
        (json.dumps({"version": 1}), "remove it, and new ones are made"),
    ],
)
def test_a_damaged_file_is_said_and_kept(tmp_path: Path, content: str, words: str) -> None:
    settings = Settings(home=tmp_path)
    settings.credentials_file.write_text(content)
    with pytest.raises(FormatError, match=words):
        Credentials.ensure(settings, {})
    assert settings.credentials_file.read_text() == content


def test_a_home_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        Credentials.ensure(Settings(home=tmp_path / "file" / "home"), {})
