"""The program that checks rules, as a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.check_rules.rule_folders import Start


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the program for a folder; what still runs at the end is ended."""
    processes: list[subprocess.Popen[bytes]] = []

    def begin(folder: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "clary.jobs.check_rules", str(folder)]
        processes.append(subprocess.Popen(command, stderr=subprocess.PIPE))
        return processes[-1]

    yield begin
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()
