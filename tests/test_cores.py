"""`clary.cores`: what the system shows, less what control groups keep from a process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from clary.cores import THREADS, limit_threads, usable_cores, visible_cores, whole_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_only_the_cores_that_the_process_may_use_count() -> None:
    program = (
        "import os, sys; from clary.cores import usable_cores, visible_cores\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "print(visible_cores(), usable_cores(), 'torch' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["1", "1", "False"]
    assert visible_cores() == len(os.sched_getaffinity(0)) >= usable_cores()


@pytest.mark.parametrize(
    ("allowed", "whole"), [(None, 64), (2.0, 2), (1.5, 2), (0.25, 1), (64.0, 64), (96.0, 64)]
)
def test_a_container_has_fewer_than_its_machine(allowed: float | None, whole: int) -> None:
    assert whole_cores(64, allowed) == whole


def test_libraries_are_told_only_what_they_would_not_see() -> None:
    all_of_them: dict[str, str] = {}
    limit_threads(all_of_them, visible_cores())
    assert all_of_them == {}
    fewer: dict[str, str] = {}
    limit_threads(fewer, visible_cores() - 1)
    assert fewer == {THREADS: str(visible_cores() - 1)}
    asked = {THREADS: "7"}
    limit_threads(asked, visible_cores() - 1)
    assert asked == {THREADS: "7"}
