"""A record counts while its service lives, and no longer."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from clary.errors import FormatError
from clary.formats.service_record import ServiceRecord, lock_path, service_is_alive
from clary.settings import Settings

RECORD = ServiceRecord(
    version="1.0", pid=7, host="127.0.0.1", port=7788, started="2025-01-01T00:00:00+00:00"
)


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[IO[bytes]]:
    with lock_path(Settings(home=tmp_path)).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def test_a_living_service_is_found(tmp_path: Path, lock: IO[bytes]) -> None:
    settings = Settings(home=tmp_path)
    RECORD.write(settings)
    assert service_is_alive(settings)
    assert ServiceRecord.read(settings) == RECORD


def test_a_record_left_behind_does_not_count(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    RECORD.write(settings)
    assert ServiceRecord.read(settings) is None
    lock_path(settings).touch()
    assert ServiceRecord.read(settings) is None


def test_a_service_that_starts_has_no_record_yet(tmp_path: Path, lock: IO[bytes]) -> None:
    assert ServiceRecord.read(Settings(home=tmp_path)) is None


def test_removing_twice_is_fine(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    RECORD.write(settings)
    ServiceRecord.remove(settings)
    ServiceRecord.remove(settings)
    assert not settings.service_file.exists()


@pytest.mark.parametrize("content", [{"format": 2}, {"format": 1}, []])
def test_a_strange_record_is_said(tmp_path: Path, lock: IO[bytes], content: object) -> None:
    settings = Settings(home=tmp_path)
    settings.service_file.write_text(json.dumps(content))
    with pytest.raises(FormatError, match=r"service\.json"):
        ServiceRecord.read(settings)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:7788"),
        ("0.0.0.0", "http://127.0.0.1:7788"),
        ("::1", "http://[::1]:7788"),
        ("::", "http://[::1]:7788"),
    ],
)
def test_the_url_reaches_the_service_from_here(host: str, url: str) -> None:
    assert RECORD.model_copy(update={"host": host}).url == url
