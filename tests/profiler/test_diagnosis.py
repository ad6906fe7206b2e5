"""What is said of trainings that are slow for a reason, and of well-built ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.formats.timeline import Loading
from clary.profiler.causes.data_loading import Load
from clary.profiler.causes.situation import Rule, Situation
from clary.profiler.diagnosis import diagnose, verdict
from clary.profiler.profile import Profile
from clary.profiler.rules import BUILT_IN
from tests.profiler.made_profiles import (
    MADE,
    Machine,
    MadeJob,
    leaking,
    often_evaluated,
    often_saved,
    own_work,
    slow_loading,
    small_batches,
    well_built,
)

CAUSES = {
    "slow_loading": "data_loading",
    "small_batches": "small_batches",
    "leaking": "memory_leak",
    "often_evaluated": "evaluation",
    "often_saved": "checkpoints",
    "own_work": "own_code",
    "outlying": "outliers",
    "idle_gpu": "data_loading",
    "well_built": None,
    "everything": None,
}


@pytest.mark.parametrize("name", sorted(MADE))
def test_the_cause_is_named_and_no_other(name: str, tmp_path: Path) -> None:
    profile = MADE[name](tmp_path)
    found = diagnose(profile)
    assert [one.cause for one in found] == ([CAUSES[name]] if CAUSES[name] else [])
    said = verdict(profile)
    assert all(sentence.endswith(".") and not sentence[0].islower() for sentence in said)
    assert ("well built" in said[2]) is (CAUSES[name] is None)
    for one in found:
        assert one.evidence
        assert not one.evidence.endswith(".")
        assert one.gain is None or one.gain > 1.05
        assert 0 <= one.share <= 1


def test_loading_in_the_training_itself(tmp_path: Path) -> None:
    (found,) = diagnose(slow_loading(tmp_path))
    assert found.evidence.startswith("60 % of each step waits for its data: making a batch takes")
    assert "280 ms (8.8 ms a picture)" in found.evidence
    assert "num_workers=2" in found.change
    assert "persistent_workers=True" in found.change
    # The job has 2.4 cores of work in each 464 ms: 278 ms with four cores.
    assert found.gain == pytest.approx(0.464 / 0.28, rel=0.05)


def test_a_loader_that_sleeps(tmp_path: Path) -> None:
    (found,) = diagnose(slow_loading(tmp_path, busy=0.02))
    assert "98 % of that is waiting for something else" in found.evidence
    assert "a sleep, a disk, a network" in found.change
    assert found.gain == pytest.approx(0.464 / 0.21, rel=0.1)


def test_a_loader_that_waits_for_a_core_does_not_sleep(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, loading=Loading("DataLoader", workers=0), machine=Machine(cpu=97.0))
    job.train(100, data=0.28)
    job.load(100, 0.28, busy=0.3)
    (found,) = diagnose(job.end())
    assert "waiting for something else" not in found.evidence
    assert "a sleep" not in found.change


def test_clarys_own_options_are_named(tmp_path: Path) -> None:
    job = MadeJob(
        tmp_path,
        cores=8,
        loading=Loading("clary", workers=1, decode_s=0.01),
        machine=Machine(cpu=30.0),
    )
    job.train(60, data=0.15)
    (found,) = diagnose(job.end())
    assert "--workers" in found.change
    assert "in its only thread" in found.evidence


def test_where_workers_bring_nothing_a_cache_is_proposed(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, cores=2, loading=Loading("DataLoader", workers=2))
    job.train(80, data=0.2)
    job.load(80, 0.5)
    (found,) = diagnose(job.end())
    assert "decode and resize each picture once" in found.change
    assert found.gain is not None


def test_loaders_that_start_anew_each_epoch(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    for _ in range(6):
        job.span("loader_start", 1.5)
        job.train(20)
    (found,) = diagnose(job.end())
    assert "persistent_workers=True" in found.change
    assert "1.5 s" in found.evidence


def test_sizes_of_batches_tell_what_a_step_costs_at_any(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, batch_size=2, machine=Machine(cpu=50.0))
    for _ in range(6):
        # 20 ms at any size, and 5 ms a picture.
        phases = {"data": 0.0, "transfer": 0.0, "own": 0.0, "noise": 0.0}
        job.train(100, forward=0.01, backward=0.018, optimizer=0.002, **phases)
        job.train(1, forward=0.0075, backward=0.0155, optimizer=0.002, pictures=1, **phases)
    (found,) = diagnose(job.end())
    assert found.cause == "small_batches"
    assert "about 20 ms of that" in found.evidence
    assert found.gain == pytest.approx(30 / (10 + 20 / 16), rel=0.05)


def test_how_often_is_enough(tmp_path: Path) -> None:
    (evaluated,) = diagnose(often_evaluated(tmp_path / "evaluated"))
    assert "72 % of the training loop: 480 ms after every step" in evaluated.evidence
    assert "every 25 steps" in evaluated.change
    (saved,) = diagnose(often_saved(tmp_path / "saved"))
    assert "250 ms after every step" in saved.evidence
    assert saved.gain == pytest.approx(2.3, rel=0.05)


def test_the_scripts_own_function_is_named(tmp_path: Path) -> None:
    from clary.formats.timeline import Mode
    from clary.formats.timeline.entries import Function, Functions

    job = MadeJob(tmp_path, machine=Machine(cpu=60.0))
    job.train(100, own=0.2)
    functions = (
        Function("backward", "/x/site-packages/torch/autograd.py", 1, 9, 0.5, 1.0),
        Function("count_all", "train.py", 40, 9, 0.3, 0.4),
    )
    job.writer.write_functions(Functions(5, 9, Mode.TRAIN, 0, 1.0, functions))
    (found,) = diagnose(job.end())
    assert "most in count_all (train.py:40), 30 % of the time" in found.evidence


def test_work_of_a_gpu_is_not_the_scripts_own(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, gpus=1)
    # .item() waits for what the GPU does.
    job.train(300, forward=0.01, backward=0.01, own=0.15, device=(0.0, 0.001, 0.06, 0.11, 0.01))
    assert diagnose(job.end()) == ()


def test_a_leak_says_how_fast_and_when_all_is_full(tmp_path: Path) -> None:
    (found,) = diagnose(leaking(tmp_path))
    assert "grows by 48" in found.evidence
    assert "MB a minute" in found.evidence
    assert found.gain is None


def test_a_gpu_that_fills_up(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, gpus=1)
    job.initialize(2.0)
    for level in range(20, 60):
        job.train(10, machine=Machine(gpu_memory=float(level), noise=0.5))
    (found,) = diagnose(job.end())
    assert "the memory of gpu0" in found.evidence
    assert "full in" in found.evidence


def test_a_long_start_and_idle_devices(tmp_path: Path) -> None:
    late = MadeJob(tmp_path / "late")
    late.span("initialization", 60.0, label="import torch")
    late.train(200)
    (found,) = diagnose(late.end())
    assert found.cause == "initialization"
    assert "most of it import torch" in found.evidence

    alone = MadeJob(tmp_path / "alone", cores=8, machine=Machine(cpu=13.0))
    alone.facts = alone.facts.__class__(**{**vars(alone.facts), "threads": 1})
    alone.train(200)
    (idle,) = diagnose(alone.end())
    assert idle.cause == "device_idle"
    assert "OMP_NUM_THREADS=8" in idle.change

    gpu = MadeJob(tmp_path / "gpu", gpus=1, machine=Machine(cpu=20.0, gpu=20.0))
    gpu.train(200)
    (unused,) = diagnose(gpu.end())
    assert unused.cause == "device_idle"
    assert "gpu0 works 20 % of the time" in unused.evidence


@pytest.mark.parametrize("make", [small_batches, own_work, often_saved, leaking])
def test_too_little_is_told(make: Callable[[Path], Profile], tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.initialize(4.0)
    job.train(3)
    profile = job.end()
    assert diagnose(profile) == ()
    assert "too little to judge" in verdict(profile)[1]


def test_of_nothing_and_of_evaluations_alone(tmp_path: Path) -> None:
    nothing = Profile.open([tmp_path / "never"])
    assert diagnose(nothing) == ()
    assert "Nothing was recorded yet" in verdict(nothing)[0]
    job = MadeJob(tmp_path / "eval")
    job.evaluate(100, 0.1)
    assert "no training step was seen" in verdict(job.end())[0]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), noise=st.floats(0.0, 0.3), gpus=st.integers(0, 1))
def test_noise_says_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int, noise: float, gpus: int
) -> None:
    job = MadeJob(tmp_path_factory.mktemp("noise"), seed=seed, gpus=gpus)
    job.machine.noise = 8.0
    job.initialize(4.0)
    for _ in range(2):
        job.train(80, noise=noise)
        job.evaluate(10, 0.06)
        job.checkpoint(0.2)
    assert diagnose(job.end()) == ()


def test_a_profile_of_the_well_built_again_is_as_well(tmp_path: Path) -> None:
    profile = well_built(tmp_path)
    assert verdict(profile) == verdict(profile)
    assert "170 pictures a second" in verdict(profile)[0]


loads = st.builds(
    Load,
    workers=st.integers(0, 8),
    cores=st.integers(1, 16),
    step_s=st.floats(0.1, 2.0),
    wait_s=st.floats(0.0, 0.1),
    load_s=st.floats(0.001, 2.0),
    cpu_s=st.none() | st.floats(0.0, 2.0),
    work_s=st.none() | st.floats(0.0, 4.0),
)


@given(loads)
def test_more_workers_are_never_predicted_to_be_slower(load: Load) -> None:
    times = [load.with_workers(count) for count in range(1, 17)]
    assert times == sorted(times, reverse=True)
    assert all(load.compute_s - 1e-9 <= one <= load.step_s for one in times)
    assert load.cached() <= load.step_s
    assert 1 <= load.best_workers() <= 2 * load.cores


def test_an_evaluation_of_other_batches_tells_it_too(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, batch_size=2, machine=Machine(cpu=50.0))
    phases = {"data": 0.0, "transfer": 0.0, "own": 0.0, "noise": 0.0}
    # 6 ms of a forward phase at any size, and 2 ms a picture; so the backward phase, twice as long.
    job.train(500, forward=0.010, backward=0.020, optimizer=0.002, **phases)
    job.batch_size = 32
    job.evaluate(20, (0.006 + 32 * 0.002) / 0.9)
    (found,) = diagnose(job.end())
    assert "about 20 ms of that" in found.evidence


def test_other_programs_on_the_machine_are_told_of(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, machine=Machine(cpu=95.0, process=150.0))
    for _ in range(15):
        job.train(19)
        job.train(1, own=2.0)
    profile = job.end()
    assert diagnose(profile) == ()
    first, _, third = verdict(profile)
    assert "other programs kept 2.3 cores busy meanwhile" in first
    assert "well built, but other programs took 2.3 of the machine's 4 cores" in third


def test_a_container_has_fewer_cores_than_the_machine_of_others(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, cores=8, machine=Machine(cpu=50.0, process=200.0))
    job.facts = dataclasses.replace(job.facts, cores=2, threads=2)
    job.writer.write_facts(job.facts)
    job.train(300)
    situation = Situation(job.end())
    assert (situation.cores, situation.machine_cores) == (2, 8)
    assert situation.others_cores == pytest.approx(2.0, abs=0.2)
    # Six cores are there for others.
    assert situation.missing_cores == 0.0
    assert not situation.is_disturbed


def test_a_head_on_features_is_told_by_its_features(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.span("features", 20.0)
    job.train(4000, data=0, transfer=0, forward=1e-4, backward=1e-4, optimizer=1e-4, own=1e-5)
    told = verdict(job.end())[1]
    assert told.startswith("Computing features takes 94 % of the training loop; forward, backward")


def test_what_hardly_helps_is_left_out(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    for _ in range(5):
        job.train(12)
        job.checkpoint(0.14)
    assert diagnose(job.end()) == ()


def test_a_command_that_trains_nothing_is_not_asked_to_run_longer(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.pass_time(5.0)
    job.end()
    (tmp_path / "timeline/worker_0/facts.json").unlink()
    told = verdict(Profile.open([tmp_path]))
    assert told[0].endswith("and no training step was seen.")
    assert "no training that the profiler knows" in told[1]
    assert "longer" not in told[2]


def test_every_cause_has_a_rule_that_exists(tmp_path: Path) -> None:
    names = set(get_args(Rule))
    assert names <= set(BUILT_IN)
    for name in MADE:
        assert {one.rule for one in diagnose(MADE[name](tmp_path / name))} <= names


def test_two_changes_of_one_kind_are_told_of_once(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, machine=Machine(cpu=60.0))
    for _ in range(4):
        job.train(40, own=0.15)
        job.pass_time(4.0)
    job.train(1)
    found = diagnose(job.end())
    assert [one.cause for one in found] == ["own_code", "own_code"]
