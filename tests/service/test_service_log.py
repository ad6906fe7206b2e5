"""The log is bounded, and of one piece whoever writes."""

from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
