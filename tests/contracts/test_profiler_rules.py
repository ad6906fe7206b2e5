"""What every rule of the profiler keeps to, whatever a job has recorded.

A rule is a function of the profile, the moment and its parameters; growing, empty, single-step and
merged profiles are taken; what it says can be acted upon and written as JSON.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.formats.profiler_rule_parameters import PROFILER_RULES, REPORT, REPORTED_RULES
from clary.formats.timeline import Loading
from clary.profiler.diagnosis import diagnose, verdict
from clary.profiler.profile import Profile
from clary.profiler.rules import BUILT_IN
from clary.profiler.rules.rule import Judgement, Moment
from tests.profiler.made_profiles import Machine, MadeJob

NEVER_FIRE = {"OverallSystemUsage", "OverallFrameworkMetrics"}
all_rules = pytest.mark.parametrize("name", sorted(BUILT_IN))
both_ways = pytest.mark.parametrize("published", [False, True], ids=["ours", "published"])


def some_job(folder: Path, seed: int) -> MadeJob:
    """Any mixture of steps, spans, pauses and machines."""
    rng = np.random.default_rng(seed)
    loading = Loading("DataLoader", workers=rng.choice([None, 0, 1, 16]))
    job = MadeJob(
        folder,
        cores=int(rng.choice([1, 4])),
        gpus=int(rng.choice([0, 1, 2])),
        loading=loading,
        batch_size=int(rng.choice([1, 32])),
        seed=seed,
        leak_bytes_s=float(rng.choice([0, 0, 3e7])),
    )
    for _ in range(int(rng.integers(0, 6))):
        level = float(rng.choice([0, 50, 100]))
        machine = Machine(cpu=level, gpu=100 - level, io_wait=float(rng.choice([0, 80])))
        kind = rng.choice(["train", "train", "evaluate", "checkpoint", "span", "pause"])
        seconds = float(rng.choice([0.01, 1.0, 8.0]))
        if kind == "train":
            phases = rng.choice([0.0, 1e-4, 0.1, math.nan], 5)
            device = rng.choice([0.0, 0.05, math.nan], 5) if job.gpus else None
            job.train(
                int(rng.choice([1, 7, 60])),
                data=phases[0],
                transfer=phases[1],
                forward=phases[2],
                backward=phases[3],
                optimizer=phases[4],
                own=float(rng.choice([0.0, 0.05])),
                pictures=int(rng.choice([0, 1, 32])),
                merged=int(rng.choice([1, 1, 5])),
                device=device,
                machine=machine,
            )
        elif kind == "evaluate":
            job.evaluate(int(rng.integers(0, 20)), 0.05, span=bool(rng.random() < 0.5))
        elif kind == "checkpoint":
            job.checkpoint(seconds, inside_a_step=bool(rng.random() < 0.5))
        elif kind == "span":
            job.span(rng.choice(["initialization", "features", "loader_start", "other"]), seconds)
        else:
            job.pass_time(seconds, machine)
    if rng.random() < 0.5:
        job.load(20, 0.1, busy=float(rng.choice([math.nan, 0.0, 1.0])), workers=0)
    return job


def judged(name: str, profile: Profile, *, published: bool, ended: bool = True) -> Judgement:
    given = {"published_defaults": "true", "patience": "4"} if published else {}
    taken = BUILT_IN[name].parameters_model.model_fields
    rule = BUILT_IN[name].configured({key: one for key, one in given.items() if key in taken})
    bounds = profile.bounds
    return rule.judge(profile, Moment(bounds[1] if bounds else 0.0, ended))


def test_rules_and_parameters_agree() -> None:
    assert set(BUILT_IN) | {REPORT} == set(PROFILER_RULES)
    assert set(BUILT_IN) == set(REPORTED_RULES)
    for name, rule in BUILT_IN.items():
        assert rule.parameters_model is PROFILER_RULES[name]
        assert rule.configured({}).name == name
        assert rule.description.endswith(".")
        assert rule.recommendation.endswith(".")


@both_ways
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), ended=st.booleans())
def test_any_profile_is_judged_alike_each_time_and_well_explained(
    published: bool, seed: int, ended: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    job = some_job(tmp_path_factory.mktemp("any"), seed)
    profile = job.end(finalize=0, ended=ended)
    again = job.profile(ended=ended)
    for name in BUILT_IN:
        found = judged(name, profile, published=published, ended=ended)
        assert found == judged(name, again, published=published, ended=ended)
        assert found == judged(name, profile, published=published, ended=ended)
        json.dumps(dict(found.figures), allow_nan=False)
        assert (found.triggered > 0) is any(one.kind == "issue" for one in found.findings)
        assert name not in NEVER_FIRE or not found.triggered
        for one in found.findings:
            assert one.rule == name
            assert one.remedy
            assert one.message[0].islower() or not one.message[0].isalpha()
            assert not one.message.endswith(".")
            assert "nan" not in one.message.split()
            if one.kind == "issue":
                assert one.cause
                assert one.value is not None
    for one in diagnose(profile):
        assert 0 <= one.share <= 1
        assert one.gain is None or 1 < one.gain < 100
        assert "nan" not in one.evidence.split()
    assert all(sentence.endswith(".") for sentence in verdict(profile))


@all_rules
@both_ways
def test_nothing_is_nothing(name: str, published: bool, tmp_path: Path) -> None:
    profile = Profile.open([tmp_path / "never"])
    while_it_runs = judged(name, profile, published=published, ended=False)
    assert while_it_runs == Judgement()
    at_the_end = judged(name, profile, published=published)
    assert at_the_end.triggered == 0
    assert all(one.kind == "note" and one.remedy for one in at_the_end.findings)


@all_rules
def test_a_profile_that_grows_is_judged_as_it_would_be_whole(name: str, tmp_path: Path) -> None:
    job = MadeJob(tmp_path, gpus=1)
    job.initialize(3.0)
    profile = Profile.open([tmp_path])
    for _ in range(5):
        job.train(20, data=0.3)
        job.flush()
        profile.refresh()
        judged(name, profile, published=False, ended=False)
    whole = job.end()
    profile.job = whole.job
    profile.refresh()
    assert judged(name, profile, published=False) == judged(name, whole, published=False)
