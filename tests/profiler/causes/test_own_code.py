"""Time of the loop in which nothing was recorded."""

from __future__ import annotations

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
