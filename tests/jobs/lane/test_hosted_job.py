"""A job that shares its host with others: how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from clary.errors import Interrupted
from clary.formats.launch import HostEnded
from clary.formats.log_file import read_events
from clary.jobs.lane import hosted_job
from clary.jobs.lane.hosted_job import HostedJob
from tests.jobs.lane.conftest import write_launch


@pytest.fixture
def job(tmp_path: Path) -> HostedJob:
    """One that this process hosts."""
    files = write_launch(tmp_path / "one")
    job = HostedJob.take(files.launch, files.hold())
    assert job is not None
    return job


def test_an_end_that_cannot_be_written_does_not_hold_the_lock_for_ever(
    job: HostedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.files.ended.mkdir()
    job.end()
    assert not job.settle()
    assert job.files.is_held()
    monkeypatch.setattr(hosted_job, "ROOM_S", 0.0)
    assert job.settle()
    assert not job.files.is_held()


def test_a_trial_that_is_stopped_says_that_and_nothing_else(job: HostedJob) -> None:
    job.end(Interrupted("stopped in epoch 2 of 4 after step 2 of 4"))
    assert job.settle()
    ended = HostEnded.read(job.files)
    assert ended is not None
    assert ended.exit_code == Interrupted.exit_code
    assert ended.failure == "stopped in epoch 2 of 4 after step 2 of 4"
    said = [event.message for event in read_events(Path(job.launch.log))]
    assert said == ["clary: stopped in epoch 2 of 4 after step 2 of 4"]
