"""Time of the loop in which nothing was recorded."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from clary.profiler.diagnosis import diagnose, verdict
from tests.profiler.made_profiles import START_S, MadeJob


def test_time_between_steps_that_nothing_explains(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.initialize(4.0)
    for _ in range(6):
        job.train(20)
        job.pass_time(6.0)
    job.train(20)
    profile = job.end()
    (found,) = diagnose(profile)
    assert found.cause == "own_code"
    assert "were seen for 36 s (58 %) of the training loop, 6 times 6.0 s" in found.evidence
    assert found.gain == pytest.approx(62.3 / 26.3, rel=0.02)
    assert "well built" not in " ".join(verdict(profile))


def test_a_machine_that_slept(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.initialize(4.0)
    job.train(200)
    first = job.now
    job.now += 36_000.0
    job.flush()
    again = job.now
    job.train(200)
    end, job.now = job.now, first
    job.sample()
    job.start_s, job.now = again, end
    job.sample()
    job.start_s = START_S
    job.flush()
    profile = job.profile()
    (found,) = diagnose(profile)
    assert "for 10 h (100 %) of the training loop, after step 199" in found.evidence
    assert "the machine slept, or its clock was set" in found.change
    assert found.gain is None


def test_short_pauses_are_told_of_and_are_no_cause(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.initialize(4.0)
    for _ in range(6):
        job.train(60)
        job.pass_time(1.2)
    profile = job.end()
    assert diagnose(profile) == ()
    assert "the rest 8.1 %." in verdict(profile)[1]


def test_of_a_clock_that_was_set_back_nothing_is_judged(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.initialize(4.0)
    job.train(100)
    job.flush()
    job.now -= 3600.0
    job.train(100)
    profile = job.end()
    assert diagnose(profile) == ()
    told = verdict(profile)
    assert "the machine's clock was set back" in told[0]
    assert "well built" not in told[2]


def test_loading_that_nobody_told_of_may_be_what_runs_there(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    for _ in range(60):
        job.train(1, data=math.nan)
        job.pass_time(0.3)
    (found,) = diagnose(job.end())
    assert found.change.startswith("see what runs there (loading data, metrics")
