"""The log is bounded, and of one piece whoever writes."""

from __future__ import annotations

import errno
import logging
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clary.errors import StorageError
from clary.service.service_log import LogHandler, ServiceLog

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO line \d+")


def test_lines_of_many_threads_are_whole(tmp_path: Path) -> None:
    log = ServiceLog(tmp_path / "log")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: log.write("INFO", f"line {number}"), range(500)))
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 500
    assert all(LINE.fullmatch(line) for line in lines)


def test_it_stays_within_two_files(tmp_path: Path) -> None:
    log = ServiceLog(tmp_path / "log", limit_bytes=2000)
    for number in range(500):
        log.write("INFO", f"line {number}")
    assert {path.name for path in tmp_path.iterdir()} == {"log", "log.1"}
    assert all(path.stat().st_size < 2100 for path in tmp_path.iterdir())
    assert "line 499" in (tmp_path / "log").read_text() + (tmp_path / "log.1").read_text()


def test_a_traceback_is_one_entry(tmp_path: Path) -> None:
    logger = logging.getLogger("clary.test_service_log")
    handler = LogHandler(ServiceLog(tmp_path / "log"))
    logger.addHandler(handler)
    try:
        raise KeyError("lost")
    except KeyError:
        logger.exception("request %s failed", "some-id")
    finally:
        logger.removeHandler(handler)
    first, *others = (tmp_path / "log").read_text().splitlines()
    assert first.endswith("ERROR request some-id failed")
    assert all(line.startswith("    ") for line in others)
    assert others[-1] == "    KeyError: 'lost'"


def test_a_log_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        ServiceLog(tmp_path / "missing" / "log")


def test_a_rotation_that_fails_leaves_other_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = ServiceLog(tmp_path / "log", limit_bytes=200)
    open_file = os.open

    def full(*arguments: Any, **options: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", full)
    for number in range(10):
        log.write("INFO", f"line {number}")
    monkeypatch.setattr(os, "open", open_file)
    with (tmp_path / "other").open("wb") as other:
        log.write("INFO", "line 10")
        assert other.fileno() > 2
    assert (tmp_path / "other").read_bytes() == b""
    written = "".join(path.read_text() for path in tmp_path.glob("log*"))
    assert [f"line {number}" in written for number in range(11)] == [True] * 11


def test_a_log_that_was_removed_begins_anew(tmp_path: Path) -> None:
    log = ServiceLog(tmp_path / "log", limit_bytes=200)
    log.write("INFO", "gone")
    (tmp_path / "log").unlink()
    for number in range(10):
        log.write("INFO", f"line {number}")
    assert "line 9" in "".join(path.read_text() for path in tmp_path.glob("log*"))
