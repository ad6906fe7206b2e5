"""Where a job's time went: its parts fill it, whatever it was."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.formats.timeline import Mode
from clary.profiler.breakdown import Breakdown, break_down
from clary.profiler.diagnosis import verdict
from clary.profiler.profile import Profile
from clary.profiler.step_times import step_times, weighted_median
from tests.profiler.made_profiles import MADE, START_S, MadeJob


def fills(parts: Breakdown) -> None:
    known = (
        parts.steps_s + parts.evaluation_s + parts.checkpoint_s + parts.features_s + parts.other_s
    )
    assert parts.loop_s == pytest.approx(known, rel=1e-3, abs=1e-3)
    assert sum(parts.phases_s.values()) == pytest.approx(parts.steps_s, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", sorted(MADE))
def test_parts_fill_the_job(name: str, tmp_path: Path) -> None:
    profile = MADE[name](tmp_path)
    parts = break_down(profile)
    fills(parts)
    assert profile.job.ended_s is not None
    assert parts.job_s == pytest.approx(profile.job.ended_s - START_S, abs=1e-3)


def test_of_nothing(tmp_path: Path) -> None:
    assert break_down(Profile.open([tmp_path / "never"])) == Breakdown()


def test_before_the_first_step_all_is_initialization(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.initialize(7.0)
    parts = break_down(job.end(finalize=0, ended=False))
    assert parts.initialization_s == pytest.approx(7.0, abs=0.5)
    assert (parts.loop_s, parts.steps, parts.loop_bounds) == (0.0, 0, None)


def test_a_checkpoint_inside_a_step_is_no_part_of_the_step(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.initialize(1.0)
    for _ in range(10):
        job.train(3, noise=0)
        job.checkpoint(0.5)
    parts = break_down(job.end())
    fills(parts)
    assert parts.checkpoint_s == pytest.approx(5.0)
    assert parts.step_s == pytest.approx(0.188, rel=1e-3)
    assert parts.phases_s["other"] == pytest.approx(30 * 0.002, rel=0.02)
    assert parts.pictures_per_s == pytest.approx(32 / 0.188, rel=1e-3)


def test_evaluations_without_spans_and_alone(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.initialize(1.0)
    job.evaluate(20, 0.1, span=False)
    parts = break_down(job.end())
    fills(parts)
    assert parts.steps == 0
    assert parts.phases_s == {}
    assert parts.evaluation_s == pytest.approx(2.0, rel=0.05)
    assert parts.pictures_per_s is None


def test_features_before_the_steps_belong_to_the_loop(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.initialize(2.0)
    job.span("features", 10.0)
    job.train(1000, forward=1e-4, backward=1e-4, optimizer=1e-4, data=0, transfer=0, merged=100)
    parts = break_down(job.end())
    fills(parts)
    assert parts.initialization_s == pytest.approx(2.0)
    assert parts.features_s == pytest.approx(10.0)
    assert parts.steps == 1000
    assert parts.step_s == pytest.approx(0.0023, rel=0.1)


def test_while_it_grows_and_without_knowing_the_job(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.initialize(2.0)
    job.train(50)
    job.flush()
    profile = Profile.open([tmp_path])
    first = break_down(profile)
    assert first.steps == 50
    assert first.finalization_s == 0
    job.train(50)
    job.end()
    assert profile.refresh()
    second = break_down(profile)
    assert second.steps == 100
    assert second.finalization_s == pytest.approx(1.0, abs=0.1)


def test_times_of_an_accelerator(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, gpus=1)
    job.train(10, device=(math.nan, 0.001, 0.01, 0.02, 0.002))
    parts = break_down(job.end())
    assert sorted(parts.device_s) == ["backward", "forward", "optimizer", "transfer"]
    assert parts.device_s["backward"] == pytest.approx(0.2, rel=1e-3)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    parts=st.lists(
        st.tuples(
            st.sampled_from(["train", "evaluate", "checkpoint", "loader_start", "pause"]),
            st.integers(1, 4),
        ),
        max_size=12,
    ),
    merged=st.sampled_from([1, 3]),
)
def test_any_order_of_events_is_filled(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, int]], merged: int
) -> None:
    job = MadeJob(tmp_path_factory.mktemp("any"), interval_s=60.0)
    for kind, count in parts:
        if kind == "train":
            job.train(count * merged, merged=merged)
        elif kind == "evaluate":
            job.evaluate(count, 0.05, span=count % 2 == 0)
        elif kind == "checkpoint":
            job.checkpoint(0.1 * count, inside_a_step=count % 2 == 0)
        elif kind == "loader_start":
            job.span("loader_start", 0.1 * count)
        else:
            job.pass_time(0.1 * count)
    found = break_down(job.end())
    assert min(value for value in vars(found).values() if isinstance(value, float)) >= 0
    known = found.steps_s + found.evaluation_s + found.checkpoint_s + found.features_s
    assert known + found.other_s >= found.loop_s - 1e-3
    assert found.job_s <= job.now - START_S + 0.01


def test_steps_as_arrays(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.train(40, merged=4, noise=0)
    times = step_times(job.end(), Mode.TRAIN)
    assert (times.steps, len(times.seconds)) == (40, 10)
    assert times.median_s == pytest.approx(0.188, rel=1e-3)
    assert times.after(4).steps == 24
    assert times.measured == (True,) * 5
    assert times.on_device == (False,) * 5


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), min_size=1, max_size=9))
def test_the_median_of_weighted_values(pairs: list[tuple[int, int]]) -> None:
    import numpy as np

    values = np.asarray([float(one) for one, _ in pairs])
    weights = np.asarray([float(one) for _, one in pairs])
    repeated = sorted(value for value, weight in pairs for _ in range(weight))
    assert weighted_median(values, weights) == repeated[(len(repeated) - 1) // 2]


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.initialize(4.0)
    job.train(100, noise=0.0)
    job.flush()
    job.now -= 20.0
    job.train(100, noise=0.0)
    profile = job.end()
    parts = break_down(profile)
    fills(parts)
    assert parts.loop_s == pytest.approx(37.6, rel=0.01)
    assert "the machine's clock was set back meanwhile" in verdict(profile)[0]
