"""Hosts hear of a stop even where nothing can be written."""

from __future__ import annotations

import pytest

from clary.service.executors.executor import Ended
from clary.service.executors.local_processes import LocalProcesses
from tests.service.executors.conftest import Bench

STAYS = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"


@pytest.mark.parametrize(("how", "exit_code"), [("terminate", 143), ("kill", 137)])
def test_the_signal_is_sent_though_the_wish_cannot_be_written(
    bench: Bench, executor: LocalProcesses, how: str, exit_code: int
) -> None:
    job = bench.script("full", STAYS)
    bench.begin(executor, job)
    bench.wait_for_line(executor, job, "up")
    for name in (".stop", ".kill"):
        (job.directory.root / name).symlink_to("/nowhere/at/all")
    getattr(executor, how)(job)
    ended = bench.end(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == exit_code
