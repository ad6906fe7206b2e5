"""Rules that wait for a loop to settle, and that judge what the job uses."""

from __future__ import annotations

import math
from pathlib import Path

from clary.formats.timeline import Loading
from clary.profiler.diagnosis import verdict
from clary.profiler.profile import Profile
from clary.profiler.rules import BUILT_IN
from clary.profiler.rules.rule import Moment
from tests.profiler.made_profiles import Machine, MadeJob, idle_gpu


def issues(rule: str, profile: Profile, *, ended: bool = True, **given: str) -> list[str]:
    at = profile.bounds[1] if profile.bounds else 0.0
    found = BUILT_IN[rule].configured(given).judge(profile, Moment(at, ended))
    return [f"{one.message}; {one.cause}" for one in found.findings if one.kind == "issue"]


def test_first_steps_that_wait_are_no_final_verdict(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, loading=Loading("DataLoader", workers=4))
    job.initialize(4.0)
    job.train(8, data=0.9)
    early = job.profile(ended=False)
    assert issues("Dataloader", early, ended=False) == []
    assert issues("Dataloader", early, ended=True)
    job.train(600)
    assert issues("Dataloader", job.end()) == []


def test_first_steps_that_are_long_are_no_final_verdict(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.train(20)
    for _ in range(3):
        job.train(6)
        job.train(1, own=2.0)
    job.train(2)
    early = job.profile(ended=False)
    assert issues("StepOutlier", early, ended=False) == []
    assert issues("StepOutlier", early, ended=True)


def test_a_gpu_that_the_job_leaves_to_others_is_nobodys_loss(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, gpus=2, gpu_use={"gpu1": 0.0})
    job.initialize(4.0)
    job.train(300, device=(math.nan, 0.001, 0.055, 0.1, 0.008))
    profile = job.end()
    assert [name for name in BUILT_IN if issues(name, profile)] == []
    assert issues("LoadBalancing", profile, published_defaults="true", patience="1")


def test_a_larger_batch_is_no_remedy_for_waiting(tmp_path: Path) -> None:
    assert issues("BatchSize", idle_gpu(tmp_path)) == []


def test_windows_with_a_pause_between_them_are_no_stretch(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, gpus=1)
    for gpu in (30.0, 95.0, 95.0, 30.0, 30.0):
        job.pass_time(10.0, Machine(gpu=gpu))
    (message,) = issues("LowGPUUtilization", job.end(finalize=0), window="20")
    assert "in 2 stretches, the longest from 30 s to 50 s of the job" in message


def test_busy_cores_beside_steps_that_hardly_wait(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, gpus=1, machine=Machine(cpu=99.0, gpu=1.0))
    job.train(200)
    (message,) = issues("CPUBottleneck", job.end())
    assert "something else than loading, for which steps wait 2.7 % of the loop" in message


def test_no_rule_speaks_where_the_verdict_says_too_little(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, loading=Loading("DataLoader", workers=0), machine=Machine(cpu=99.0))
    job.initialize(2.0)
    job.train(4, data=4.0, forward=1.0)
    job.load(4, 4.0)
    profile = job.end()
    assert "too little to judge" in verdict(profile)[1]
    assert [name for name in BUILT_IN if issues(name, profile)] == []
