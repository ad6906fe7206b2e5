"""Several processes in one profile: who speaks for the training, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

from clary.profiler.diagnosis import diagnose, verdict
from tests.profiler.made_profiles import Machine, MadeJob


def test_of_two_programs_the_longer_one_is_judged(tmp_path: Path) -> None:
    first = MadeJob(tmp_path, batch_size=8)
    first.train(20)
    first.end(finalize=0.0)
    second = MadeJob(tmp_path, worker="worker_0-4712", start_s=first.now)
    second.initialize(8.0)
    second.train(300)
    profile = second.end()
    assert profile.main is not None
    assert (profile.main.name, profile.programs) == ("worker_0-4712", 2)
    told = verdict(profile)[0]
    assert "300 training steps of 32 pictures" in told
    assert "it is the longest of 2 programs that trained" in told


def test_the_rate_is_that_of_all_ranks(tmp_path: Path) -> None:
    for rank in range(4):
        job = MadeJob(tmp_path, worker=f"worker_{rank}")
        job.train(200, noise=0.0)
        profile = job.end()
    assert (len(profile.ranks), profile.programs) == (4, 1)
    told = verdict(profile)[0]
    assert "200 training steps of 32 pictures in each of 4 processes" in told
    assert "681 pictures a second together" in told


def test_a_process_without_steps_hides_no_training(tmp_path: Path) -> None:
    MadeJob(tmp_path).end()
    job = MadeJob(tmp_path, worker="worker_1")
    job.train(100)
    assert "100 training steps" in verdict(job.end())[0]


def test_the_usual_batch_is_told(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    for _ in range(5):
        job.train(12)
        job.train(1, pictures=7)
    assert "65 training steps of 32 pictures" in verdict(job.end())[0]


def test_programs_that_were_recorded_as_one_are_no_line_through_two_networks(
    tmp_path: Path,
) -> None:
    first = MadeJob(tmp_path, machine=Machine(cpu=50.0))
    first.train(40, noise=0.0)
    first.end(finalize=0.0)
    second = MadeJob(tmp_path, batch_size=2, start_s=first.now, machine=Machine(cpu=50.0))
    # By a line through both, most of it would be the same for any batch.
    second.train(400, noise=0.0)
    profile = second.end()
    told = verdict(profile)
    assert "several programs were recorded as one here" in told[0]
    assert "clock" not in told[0]
    assert "small_batches" not in [one.cause for one in diagnose(profile)]
