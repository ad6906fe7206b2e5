"""Parameters of the profiler's rules, from strings."""

from __future__ import annotations

import pytest

from clary.errors import UsageError
from clary.formats.profiler_rule_parameters import (
    PROFILER_RULES,
    REPORTED_RULES,
    ReportParameters,
    parse_profiler_parameters,
)

# As SageMaker's SDK sends them, defaults and all, with the values that AWS publishes.
PUBLISHED = {
    "BatchSize": "cpu_threshold_p95=70 gpu_threshold_p95=70 gpu_memory_threshold_p95=70 "
    "patience=1000 window=500",
    "CPUBottleneck": "threshold=50 gpu_threshold=10 cpu_threshold=90 patience=1000",
    "Dataloader": "min_threshold=70 max_threshold=200",
    "GPUMemoryIncrease": "increase=5 patience=1000 window=10",
    "IOBottleneck": "threshold=50 gpu_threshold=10 io_threshold=50 patience=1000",
    "LoadBalancing": "threshold=0.2 patience=1000",
    "LowGPUUtilization": "threshold_p95=70 threshold_p5=10 window=500 patience=1000",
    "MaxInitializationTime": "threshold=20",
    "OverallFrameworkMetrics": "",
    "OverallSystemUsage": "",
    "StepOutlier": "stddev=3 mode=None n_outliers=10",
}


def given(rule: str) -> dict[str, str]:
    pairs = dict(part.split("=") for part in PUBLISHED[rule].split())
    return {"rule_to_invoke": rule, **pairs, "scan_interval_us": "60000000"}


def refusal(rule: str, **parameters: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_profiler_parameters(rule, parameters)
    return str(caught.value)


def test_all_rules_are_there() -> None:
    assert set(PROFILER_RULES) == {*PUBLISHED, "ProfilerReport"}
    assert set(REPORTED_RULES) == set(PUBLISHED)


@pytest.mark.parametrize("rule", sorted(PUBLISHED))
def test_defaults_are_those_that_are_published(rule: str) -> None:
    sent = parse_profiler_parameters(rule, given(rule))
    assert sent == parse_profiler_parameters(rule, {"rule_to_invoke": rule})


@pytest.mark.parametrize("rule", sorted(PUBLISHED))
def test_parameters_come_back(rule: str) -> None:
    parameters = parse_profiler_parameters(rule, {**given(rule), "published_defaults": "True"})
    assert parse_profiler_parameters(rule, parameters.given()) == parameters


def test_the_report_takes_parameters_of_all_rules_in_any_case() -> None:
    parameters = parse_profiler_parameters(
        "ProfilerReport",
        {
            "rule_to_invoke": "ProfilerReport",
            "cpubottleneck_cpu_threshold": "80",
            "StepOutlier_stddev": "4",
            "LowGPUUtilization_scan_interval_us": "5",
        },
    )
    assert isinstance(parameters, ReportParameters)
    assert parameters.of("CPUBottleneck") == parse_profiler_parameters(
        "CPUBottleneck", {"cpu_threshold": "80", "published_defaults": "false"}
    )
    assert parameters.of("StepOutlier").model_dump()["stddev"] == 4
    assert parameters.of("BatchSize").model_dump() == (
        parse_profiler_parameters("BatchSize", {}).model_dump()
    )
    published = parse_profiler_parameters("ProfilerReport", {"published_defaults": "true"})
    assert isinstance(published, ReportParameters)
    assert published.of("Dataloader").published_defaults


def test_the_report_takes_what_aws_tells_people_to_give_against_telemetry() -> None:
    parameters = parse_profiler_parameters("ProfilerReport", {"opt_out_telemetry": "True"})
    assert isinstance(parameters, ReportParameters)
    assert "opt_out_telemetry" not in parameters.of("BatchSize").model_dump()


def test_what_cannot_be_used_is_told_a_line_each() -> None:
    told = refusal("StepOutlier", stddev="-1", mode="PREDICT", sigma="2")
    assert told.splitlines() == [
        "parameter stddev of StepOutlier is '-1' but must be greater than 0 "
        "(standard deviations over the usual step)",
        "parameter mode of StepOutlier is 'PREDICT' but must be 'TRAIN' or 'EVAL' "
        "(of which mode: TRAIN, EVAL)",
        "StepOutlier has no parameter 'sigma': it takes scan_interval_us, published_defaults, "
        "stddev, mode, n_outliers",
    ]
    assert "did you mean StepOutlier_stddev?" in refusal("ProfilerReport", StepOutlier_stdev="3")
    told = refusal("ProfilerReport", nonsense="1")
    assert told.startswith(
        "ProfilerReport has no parameter 'nonsense': it takes scan_interval_us, "
        "published_defaults, opt_out_telemetry, and <rule>_<parameter> of BatchSize, "
    )
    assert len(told) < 400
    assert "must be less than or equal to 100" in refusal("CPUBottleneck", cpu_threshold="101")
    assert "must be a whole number" in refusal("LowGPUUtilization", patience="many")


def test_rules_of_others_are_refused_by_name() -> None:
    assert "XGBoost" in refusal("TreeDepth")
    assert "put it among DebugRuleConfigurations" in refusal("VanishingGradient")
    assert "ProfilerReport writes the report" in refusal("DetailedProfilerProcessingJobConfig")
    assert "did you mean LowGPUUtilization?" in refusal("LowGPUUtilisation")
    assert "choose from BatchSize, CPUBottleneck" in refusal("Nonsense")
