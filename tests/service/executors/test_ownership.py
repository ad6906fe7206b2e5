"""A folder of an earlier job of the same name is never taken for the job's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clary.errors import ClaryError, StorageError
from clary.service.executors.executor import Ended, Waiting
from clary.service.executors.local_processes import LocalProcesses
from tests.service.executors.conftest import Bench


def test_a_later_job_of_the_same_name_runs_and_the_earlier_folder_is_kept(
    bench: Bench, executor: LocalProcesses
) -> None:
    earlier = bench.script("same", "print('first')\nraise SystemExit(3)\n")
    bench.run(executor, earlier)
    later = replace(bench.script("same", "print('second')\n"), created_ms=1)
    assert executor.look(later) == Waiting()
    assert executor.logs(later) == () and executor.processes(later) == {}
    ended = bench.run(executor, later)
    assert isinstance(ended, Ended) and ended.exit_code == 0
    assert bench.lines(executor, later)[-1] == "second"
    aside = later.directory.root.with_name("same.earlier-1")
    assert "first" in (aside / "logs" / "algo-1.log").read_text()
    executor.discard(earlier)
    assert later.directory.root.exists()


def test_an_unknown_job_that_still_runs_is_not_disturbed(
    bench: Bench, executor: LocalProcesses
) -> None:
    earlier = bench.script("busy", "import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    bench.begin(executor, earlier)
    bench.wait_for_line(executor, earlier, "up")
    later = replace(bench.script("busy", "print('second')\n"), created_ms=1)
    with pytest.raises(ClaryError, match="an earlier job of the name busy"):
        executor.prepare(later, lambda message: None)
    executor.kill(later)
    assert list(executor.processes(earlier)) == ["algo-1"]
    executor.kill(earlier)
    bench.end(executor, earlier)


def test_a_folder_that_vanished_is_not_launched(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.script("vanished", "print('x')\n")
    executor.prepare(job, lambda message: None)
    executor.discard(job)
    with pytest.raises(ClaryError, match="does not hold what vanished needs"):
        executor.launch(job)


def test_what_cannot_be_deleted_is_moved_aside(
    bench: Bench, executor: LocalProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.script("stuck", "print('x')\n")
    bench.run(executor, job)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(StorageError, match=r"what is left is in .*stuck\.earlier-1"):
        executor.discard(job)
    monkeypatch.undo()
    assert not job.directory.root.exists()
