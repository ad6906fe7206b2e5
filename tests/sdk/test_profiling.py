"""Levels of profiling: what they ask for, and what a job says that it was asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import UsageError
from clary.formats.profiler_configuration import INTERVALS_MS, ProfilerConfiguration
from clary.formats.profiler_rule_parameters import parse_profiler_parameters
from clary.sdk.debugging import Rule
from clary.sdk.estimator import Estimator
from clary.sdk.profiling import Profiling

OUTPUT = "s3://bucket/jobs"


def test_steps_are_the_machine_and_the_report() -> None:
    members = Profiling().request(OUTPUT)
    config = members["ProfilerConfig"]
    assert config["S3OutputPath"] == OUTPUT
    assert config["ProfilingIntervalInMilliseconds"] == 500
    read = ProfilerConfiguration.from_request(config)
    assert (read.disabled, read.operators, read.functions) == (False, None, None)
    (rule,) = members["ProfilerRuleConfigurations"]
    assert rule["RuleConfigurationName"] == "ProfilerReport"
    assert "sagemaker-debugger-rules" in rule["RuleEvaluatorImage"]
    parameters = dict(rule["RuleParameters"])
    assert parameters.pop("rule_to_invoke") == "ProfilerReport"
    parse_profiler_parameters("ProfilerReport", parameters)


def test_full_adds_operators_of_ten_steps() -> None:
    read = ProfilerConfiguration.from_request(Profiling("full").request(OUTPUT)["ProfilerConfig"])
    assert read.operators is not None
    assert (read.operators.first, read.operators.steps) == (5, 10)


def test_off_says_so_and_has_no_rules() -> None:
    assert Profiling("off").request(OUTPUT) == {"ProfilerConfig": {"DisableProfiler": True}}


levels = st.sampled_from(["steps", "full", "off"])
parameters = st.dictionaries(st.sampled_from(["threshold", "patience"]), st.integers(1, 99))
rules = st.lists(
    st.builds(Rule, st.sampled_from(["CPUBottleneck", "ProfilerReport"]), parameters), max_size=3
)


@given(levels, st.sampled_from(INTERVALS_MS), rules)
def test_what_a_job_says_of_itself_asks_for_the_same(
    level: str, interval_ms: int, chosen: list[Rule]
) -> None:
    members = Profiling(level, interval_ms, tuple(chosen)).request(OUTPUT)  # type: ignore[arg-type]
    again = Profiling.of_job(members)
    assert again.level == level
    assert again.request(OUTPUT) == members


def test_a_job_of_an_earlier_clary_was_not_profiled() -> None:
    assert Profiling.of_job({"TrainingJobName": "photos-1"}).level == "off"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"level": "step"}, "'step' but must be one of steps, full, off: did you mean steps?"),
        ({"level": 3}, "the level of profiling is 3 but must be one of"),
        ({"interval_ms": 250}, "interval_ms is 250 but must be one of 100, 200, 500, 1000"),
        ({"rules": (Rule("CPUBottleneck"),) * 21}, "there are 21 rules but 20 is the most"),
    ],
)
def test_mistakes_are_one_sentence(words: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Profiling(**words)  # type: ignore[arg-type]


def test_an_estimator_takes_a_level_or_more() -> None:
    class NoSession:
        default_bucket = "bucket"
        role = "arn:aws:iam::000000000000:role/clary"

    session: object = NoSession()
    for given_profile in ("full", Profiling("full", rules=())):
        estimator = Estimator(session, profile=given_profile)  # type: ignore[arg-type]
        request = estimator.request(None, "photos-1")
        assert "DetailedProfilingConfig" in request["ProfilerConfig"]["ProfilingParameters"]
    assert "ProfilerConfig" not in Estimator(session).request(None, "photos-1")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="did you mean full"):
        Estimator(session, profile="ful").request(None, "photos-1")  # type: ignore[arg-type]
