"""Advice about loading: what it rests on, and what it cannot promise."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from clary.formats.timeline import Loading
from clary.profiler.diagnosis import diagnose, verdict
from tests.profiler.made_profiles import Machine, MadeJob


def with_gpu(folder: Path, busy_s: float, **machine: float) -> MadeJob:
    """Steps of 113 ms, of which Python waits 100 ms for data while the GPU computes."""
    job = MadeJob(folder, gpus=1, cores=8, machine=Machine(cpu=30.0, **machine))
    job.initialize(4.0)
    device = None
    if busy_s:
        device = (math.nan, 0.001, 0.3 * busy_s, 0.6 * busy_s, 0.1 * busy_s - 0.001)
    job.train(
        600, data=0.1, forward=0.004, backward=0.005, optimizer=0.001, noise=0.0, device=device
    )
    job.load(600, 0.4)
    return job


def test_a_full_gpu_waits_for_nothing(tmp_path: Path) -> None:
    profile = with_gpu(tmp_path, 0.112, gpu=99.0).end()
    assert diagnose(profile) == ()
    _, where, change = verdict(profile)
    assert "well built" in change
    assert where.startswith("The GPU computes in 99 % of the training loop, waiting for data 0.9 %")


def test_what_the_gpu_computes_is_the_bound(tmp_path: Path) -> None:
    (found,) = diagnose(with_gpu(tmp_path, 0.089, gpu=79.0).end())
    assert found.cause == "data_loading"
    assert found.evidence.startswith("21 % of each step waits for its data")
    assert found.gain == pytest.approx(0.113 / 0.089, rel=0.03)


def test_the_use_of_the_gpu_stands_for_times_that_were_not_measured(tmp_path: Path) -> None:
    assert diagnose(with_gpu(tmp_path, 0.0, gpu=98.0).end()) == ()


def test_what_was_not_measured_is_not_told(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.train(1000, data=0.04)
    (found,) = diagnose(job.end())
    assert found.evidence == "18 % of each step waits for its data, which 4 workers load"
    assert found.gain is None


def test_a_loader_that_waits_is_told_what_to_take_out(tmp_path: Path) -> None:
    loading = Loading("DataLoader", workers=4)
    job = MadeJob(tmp_path, cores=2, loading=loading, machine=Machine(cpu=20.0))
    job.initialize(4.0)
    job.train(150, data=1.0)
    job.load(150, 4.8, busy=0.05)
    (found,) = diagnose(job.end())
    assert found.change.startswith("take out what the dataset waits for (a sleep, a disk")
    # One step is 1.183 s, of which 183 ms are no waiting.
    assert found.gain == pytest.approx(1.183 / 0.183, rel=0.05)


def test_cores_of_other_programs_are_not_promised(tmp_path: Path) -> None:
    # The job has 0.6 of 2 cores, others 1.4: more workers find no core to work on.
    loading = Loading("DataLoader", workers=0)
    job = MadeJob(tmp_path, cores=2, loading=loading, machine=Machine(cpu=100.0, process=60.0))
    job.initialize(4.0)
    job.train(100, data=0.28)
    job.load(100, 0.28)
    (found,) = diagnose(job.end())
    assert "num_workers" not in found.change
    assert "decode and resize each picture once" in found.change
