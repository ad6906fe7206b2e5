"""Rules of the profiler over jobs that are ill and healthy."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from clary.formats.timeline import Loading
from clary.profiler.diagnosis import verdict
from clary.profiler.profile import Host, Profile
from clary.profiler.rules import BUILT_IN
from clary.profiler.rules.rule import Judgement, Moment
from tests.profiler.made_profiles import (
    Machine,
    MadeJob,
    idle_gpu,
    leaking,
    outlying,
    slow_loading,
    small_batches,
    well_built,
)


def judge(rule: str, profile: Profile, *, ended: bool = True, **given: str) -> Judgement:
    at = profile.bounds[1] if profile.bounds else 0.0
    return BUILT_IN[rule].configured(given).judge(profile, Moment(at, ended))


def issues(judgement: Judgement) -> list[str]:
    return [one.message for one in judgement.findings if one.kind == "issue"]


def with_gpu(folder: Path, seconds: float = 40.0, *, gpus: int = 1, **machine: float) -> Profile:
    job = MadeJob(folder, gpus=gpus, machine=Machine(**machine))
    job.initialize(2.0)
    job.train(round(seconds / 0.188), device=(math.nan, 0.001, 0.05, 0.1, 0.01))
    return job.end()


@pytest.mark.parametrize("rule", sorted(BUILT_IN))
@pytest.mark.parametrize("gpus", [0, 2])
def test_a_well_built_job_gives_no_issue(rule: str, gpus: int, tmp_path: Path) -> None:
    found = judge(rule, well_built(tmp_path, gpus=gpus))
    assert issues(found) == []
    assert found.triggered == 0
    needs_gpus = rule in {"LowGPUUtilization", "LoadBalancing"}
    assert bool(found.datapoints) is (gpus > 0 or not needs_gpus)
    assert len(found.findings) == (1 if needs_gpus and not gpus else 0)


class TestLowGPUUtilization:
    def test_under_used(self, tmp_path: Path) -> None:
        found = judge("LowGPUUtilization", with_gpu(tmp_path, gpu=40.0))
        (message,) = issues(found)
        assert "algo-1/gpu0 is little used: its 95th percentile is 4" in message
        assert "under 70 %, from 2.0 s to 42 s of the job" in message
        assert found.findings[0].worker == "algo-1/gpu0"

    def test_fluctuating(self, tmp_path: Path) -> None:
        job = MadeJob(tmp_path, gpus=1)
        for number in range(40):
            job.pass_time(1.0, Machine(gpu=95.0 if number % 4 else 0.0))
        (message,) = issues(judge("LowGPUUtilization", job.end(finalize=0)))
        assert "fluctuates: its 5th percentile is under 10 %" in message

    def test_a_short_job_is_judged_at_its_end_and_not_before(self, tmp_path: Path) -> None:
        profile = with_gpu(tmp_path, seconds=12.0, gpu=40.0)
        assert judge("LowGPUUtilization", profile, ended=False) == Judgement()
        assert issues(judge("LowGPUUtilization", profile))
        published = judge("LowGPUUtilization", profile, published_defaults="true")
        assert published == Judgement()
        early = judge("LowGPUUtilization", profile, ended=False, patience="20", window="20")
        assert issues(early)

    def test_windows_are_judged_one_by_one(self, tmp_path: Path) -> None:
        job = MadeJob(tmp_path, gpus=1)
        for gpu in (95.0, 30.0, 95.0, 95.0):
            job.pass_time(10.0, Machine(gpu=gpu))
        found = judge("LowGPUUtilization", job.end(finalize=0), window="20")
        assert found.triggered == 1
        assert "from 10 s to 20 s of the job" in issues(found)[0]


class TestBatchSize:
    def test_all_little_used(self, tmp_path: Path) -> None:
        profile = with_gpu(tmp_path, cpu=20.0, gpu=50.0, gpu_memory=30.0)
        assert "under 70, 70 and 70 %" in issues(judge("BatchSize", profile))[-1]
        assert issues(judge("BatchSize", profile, gpu_memory_threshold_p95="20")) == []

    def test_without_a_gpu_by_what_a_step_costs_at_any_size(self, tmp_path: Path) -> None:
        profile = small_batches(tmp_path)
        (finding,) = judge("BatchSize", profile).findings
        assert "it would take with any batch" in finding.message
        assert "expected 2.2 × as fast" in finding.remedy
        assert judge("BatchSize", profile, published_defaults="true", patience="1").findings == ()


@pytest.mark.parametrize(
    ("rule", "machine"),
    [("CPUBottleneck", {"cpu": 99.0}), ("IOBottleneck", {"cpu": 30.0, "io_wait": 65.0})],
)
class TestBottlenecks:
    def test_beside_an_idle_gpu(self, rule: str, machine: dict[str, float], tmp_path: Path) -> None:
        found = judge(rule, with_gpu(tmp_path, gpu=1.0, **machine))
        (message,) = issues(found)
        assert "while algo-1/gpu0 was idle (used under 10 %)" in message
        assert found.triggered > 0.5 * found.datapoints > 0

    def test_a_busy_gpu_is_no_issue(
        self, rule: str, machine: dict[str, float], tmp_path: Path
    ) -> None:
        assert issues(judge(rule, with_gpu(tmp_path, gpu=95.0, **machine))) == []

    def test_without_a_gpu_while_steps_wait_for_data(
        self, rule: str, machine: dict[str, float], tmp_path: Path
    ) -> None:
        job = MadeJob(
            tmp_path, loading=Loading("DataLoader", workers=2), machine=Machine(**machine)
        )
        job.train(20, data=2.0, forward=0.02, backward=0.02)
        (message,) = issues(judge(rule, job.end()))
        assert "while the training on algo-1 waited for its data" in message

    def test_a_training_that_computes_is_no_issue(
        self, rule: str, machine: dict[str, float], tmp_path: Path
    ) -> None:
        job = MadeJob(tmp_path, machine=Machine(**machine))
        job.train(200)
        assert issues(judge(rule, job.end())) == []


class TestGPUMemoryIncrease:
    def test_a_gpu_whose_memory_rises(self, tmp_path: Path) -> None:
        job = MadeJob(tmp_path, gpus=1)
        for level in range(20, 60):
            job.pass_time(1.0, Machine(gpu_memory=float(level), noise=0.3))
        (message,) = issues(judge("GPUMemoryIncrease", job.end(finalize=0)))
        assert "the memory of algo-1/gpu0 in use rose by 2" in message

    def test_the_job_itself_without_a_gpu(self, tmp_path: Path) -> None:
        assert "grows by" in issues(judge("GPUMemoryIncrease", leaking(tmp_path)))[0]

    def test_noise_is_no_rise(self, tmp_path: Path) -> None:
        assert issues(judge("GPUMemoryIncrease", with_gpu(tmp_path, noise=3.0))) == []


class TestLoadBalancing:
    def test_gpus_with_different_work(self, tmp_path: Path) -> None:
        job = MadeJob(tmp_path, gpus=2)
        job.pass_time(40.0)
        for gpu, use in (("gpu0", 95.0), ("gpu1", 40.0)):
            job.gpu_use[gpu] = use
        found = judge("LoadBalancing", job.end(finalize=0))
        (message,) = issues(found)
        assert message.startswith("algo-1/gpu1 and algo-1/gpu0 are used differently")
        assert found.figures["distances"][0]["distance"] > 0.9

    def test_two_hosts(self, tmp_path: Path) -> None:
        hosts = []
        for number, use in ((1, 90.0), (2, 30.0)):
            job = MadeJob(
                tmp_path / str(number), gpus=1, node=f"algo-{number}", machine=Machine(gpu=use)
            )
            job.train(150)
            job.end()
            hosts.append(Host(f"algo-{number}", tmp_path / str(number)))
        profile = Profile(hosts)
        profile.refresh()
        assert "algo-2/gpu0 and algo-1/gpu0" in issues(judge("LoadBalancing", profile))[0]
        assert len(issues(judge("LowGPUUtilization", profile))) == 1


class TestStepOutlier:
    def test_long_steps(self, tmp_path: Path) -> None:
        profile = outlying(tmp_path)
        found = judge("StepOutlier", profile)
        assert found.triggered == 15
        (finding,) = [one for one in found.findings if one.kind == "issue"]
        assert finding.message.startswith("15 steps of 299 lasted longer than 282 ms")
        assert (finding.mode, finding.worker) == ("TRAIN", "algo-1/worker_0")
        assert finding.step in {step for step in range(300) if step % 20 == 19}
        assert len(found.figures["TRAIN"]["outliers"]) == 15

    def test_of_a_mode(self, tmp_path: Path) -> None:
        profile = outlying(tmp_path)
        assert judge("StepOutlier", profile, mode="EVAL").figures == {}

    def test_few_of_many_are_nothing_but_by_sagemakers_count(self, tmp_path: Path) -> None:
        job = MadeJob(tmp_path)
        for _ in range(12):
            job.train(150, noise=0.02)
            job.train(1, own=0.25)
        profile = job.end()
        assert issues(judge("StepOutlier", profile)) == []
        assert issues(judge("StepOutlier", profile, published_defaults="true"))


class TestMaxInitializationTime:
    def test_a_late_first_step(self, tmp_path: Path) -> None:
        job = MadeJob(tmp_path, interval_s=5.0)
        job.initialize(150.0)
        job.train(20)
        profile = job.end()
        (message,) = issues(judge("MaxInitializationTime", profile, threshold="2"))
        assert message == "the first training step came after 2 min 30 s, more than 2 minutes"
        assert issues(judge("MaxInitializationTime", profile)) == []

    def test_no_step_yet(self, tmp_path: Path) -> None:
        job = MadeJob(tmp_path, interval_s=5.0)
        job.initialize(150.0)
        profile = job.end(ended=False)
        late = judge("MaxInitializationTime", profile, ended=False, threshold="2")
        assert "is not there after 2 min" in issues(late)[0]

    def test_a_program_that_trains_nothing_is_not_judged(self, tmp_path: Path) -> None:
        job = MadeJob(tmp_path, interval_s=5.0)
        job.initialize(150.0)
        job.end()
        (tmp_path / "timeline/worker_0/facts.json").unlink()
        profile = Profile.open([tmp_path])
        assert issues(judge("MaxInitializationTime", profile, threshold="1")) == []


class TestDataloader:
    def test_it_says_what_waiting_costs(self, tmp_path: Path) -> None:
        found = judge("Dataloader", slow_loading(tmp_path))
        (finding,) = found.findings
        assert "60 % of each step waits for its data" in finding.message
        assert "expected 1.7 × as fast" in finding.remedy
        assert found.figures["workers"] == 0
        assert found.figures["batch_load_s"]["p50"] == pytest.approx(0.28)

    def test_workers_without_need_are_no_issue_but_by_sagemakers_count(
        self, tmp_path: Path
    ) -> None:
        job = MadeJob(tmp_path, cores=8, loading=Loading("DataLoader", workers=1))
        job.train(100)
        profile = job.end()
        assert issues(judge("Dataloader", profile)) == []
        (message,) = issues(judge("Dataloader", profile, published_defaults="true"))
        assert message.startswith("1 worker loads data on 8 cores: 12 %, fewer than 70 %")

    def test_too_many(self, tmp_path: Path) -> None:
        job = MadeJob(tmp_path, loading=Loading("DataLoader", workers=16))
        job.train(100)
        assert "400 %, more than 200 %" in issues(judge("Dataloader", job.end()))[0]


def test_tables_of_the_machine_and_of_the_training(tmp_path: Path) -> None:
    profile = idle_gpu(tmp_path)
    usage = judge("OverallSystemUsage", profile).figures["algo-1"]
    assert usage["GPU"]["p50"] == pytest.approx(15.0, abs=2.0)
    assert usage["Memory"]["unit"] == "percent"
    assert usage["Network"]["max"] > usage["Network"]["min"]
    spent = judge("OverallFrameworkMetrics", profile).figures
    assert spent["steps"] == 300
    assert spent["phases_s"]["data"] == pytest.approx(45.0, rel=0.01)
    assert spent["device_s"]["backward"] == pytest.approx(4.2, rel=0.01)


def test_a_finding_of_a_rule_says_what_holds_this_training_back(tmp_path: Path) -> None:
    (finding,) = judge("LowGPUUtilization", idle_gpu(tmp_path)).findings
    assert "83 % of each step waits for its data" in finding.cause
    assert "num_workers=" in finding.remedy


def test_a_job_too_short_for_a_verdict_has_no_issue(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, cores=2, loading=Loading("DataLoader", workers=0))
    for _ in range(12):
        job.train(8, data=0.004, forward=0.004, backward=0.008, optimizer=0.001, own=0.0)
        job.train(1, data=0.05, own=0.0, forward=0.0, backward=0.0)
    profile = job.end()
    assert "too little to judge" in verdict(profile)[1]
    assert [name for name in BUILT_IN if issues(judge(name, profile))] == []
