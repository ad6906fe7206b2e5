"""The rules that judge where a training's time goes: their names and parameters, as SageMaker's.

Parameters arrive as strings. The service validates them by this table when a job is created, and
the rules (`clary.profiler.rules`) read theirs from the same models.

Sources: the names, parameters and defaults that AWS publishes in its list of profiler rules and in
its SDK. Beyond them every rule takes `published_defaults`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, create_model

from clary.errors import UsageError
from clary.formats.rule_parameter_types import Count, ParsedParameters, Percent, Positive
from clary.formats.rule_parameters import BUILT_IN_RULES, own_parameters
from clary.formats.rule_parameters import NOT_OFFERED as TENSOR_RULES_NOT_OFFERED

SAMPLE_S = 0.5
"""What `patience` and `window` count in: samples of SageMaker's default interval, in seconds."""

REPORT = "ProfilerReport"

# Known to SageMaker and not offered, with the reason.
NOT_OFFERED: Mapping[str, str] = {
    **TENSOR_RULES_NOT_OFFERED,
    "DetailedProfilerProcessingJobConfig": "it configures a service of AWS that runs on its "
    "machines alone; ProfilerReport writes the report",
}

_Patience = Annotated[
    Count,
    Field(
        description="half seconds of training to see before judging; a short job is judged at its "
        "end all the same"
    ),
]
_Window = Annotated[
    Count, Field(description="half seconds that are judged together; less in a short job")
]


class ProfilerParameters(ParsedParameters):
    """What every rule takes; the base of each rule's own parameters."""

    scan_interval_us: Count = Field(
        60_000_000,
        description="how often SageMaker scans, in microseconds; Clary looks every few seconds",
    )
    published_defaults: bool = Field(
        False,
        description="judge by SageMaker's bare thresholds: no shorter patience for short jobs, no "
        "regard to what a finding costs",
    )


class BatchSize(ProfilerParameters):
    """Of rule BatchSize."""

    cpu_threshold_p95: Percent = Field(70.0, description="95th percentile of the CPU's use")
    gpu_threshold_p95: Percent = Field(70.0, description="95th percentile of a GPU's use")
    gpu_memory_threshold_p95: Percent = Field(
        70.0, description="95th percentile of a GPU's memory that is in use"
    )
    patience: _Patience = 1000
    window: _Window = 500


class CPUBottleneck(ProfilerParameters):
    """Of rule CPUBottleneck."""

    threshold: Percent = Field(50.0, description="percent of the time that is too much")
    gpu_threshold: Percent = Field(10.0, description="a GPU is idle below, in percent")
    cpu_threshold: Percent = Field(90.0, description="the CPU is busy above, in percent")
    patience: _Patience = 1000


class IOBottleneck(ProfilerParameters):
    """Of rule IOBottleneck."""

    threshold: Percent = Field(50.0, description="percent of the time that is too much")
    gpu_threshold: Percent = Field(10.0, description="a GPU is idle below, in percent")
    io_threshold: Percent = Field(50.0, description="much waiting for disks above, in percent")
    patience: _Patience = 1000


class Dataloader(ProfilerParameters):
    """Of rule Dataloader."""

    min_threshold: Positive = Field(70.0, description="fewest workers, in percent of the cores")
    max_threshold: Positive = Field(200.0, description="most workers, in percent of the cores")


class GPUMemoryIncrease(ProfilerParameters):
    """Of rule GPUMemoryIncrease."""

    increase: Positive = Field(5.0, description="by so many points of the memory it may rise")
    patience: _Patience = 1000
    window: Count = Field(10, description="half seconds of the moving average")


class LoadBalancing(ProfilerParameters):
    """Of rule LoadBalancing."""

    threshold: Percent = Field(0.2, description="largest distance of two GPUs' histograms, 0 to 1")
    patience: _Patience = 1000


class LowGPUUtilization(ProfilerParameters):
    """Of rule LowGPUUtilization."""

    threshold_p95: Percent = Field(70.0, description="a GPU is too little used below")
    threshold_p5: Percent = Field(10.0, description="a GPU's use fluctuates below")
    window: _Window = 500
    patience: _Patience = 1000


class MaxInitializationTime(ProfilerParameters):
    """Of rule MaxInitializationTime."""

    threshold: Positive = Field(20.0, description="minutes until the first training step")


class OverallSystemUsage(ProfilerParameters):
    """Of rule OverallSystemUsage."""


class OverallFrameworkMetrics(ProfilerParameters):
    """Of rule OverallFrameworkMetrics."""


class StepOutlier(ProfilerParameters):
    """Of rule StepOutlier."""

    stddev: Positive = Field(3.0, description="standard deviations over the usual step")
    mode: Literal["TRAIN", "EVAL"] | None = Field(None, description="of which mode: TRAIN, EVAL")
    n_outliers: Count = Field(10, description="so many steps may be longer")


_JUDGING: Mapping[str, type[ProfilerParameters]] = {
    model.__name__: model
    for model in (
        BatchSize,
        CPUBottleneck,
        Dataloader,
        GPUMemoryIncrease,
        IOBottleneck,
        LoadBalancing,
        LowGPUUtilization,
        MaxInitializationTime,
        OverallFrameworkMetrics,
        OverallSystemUsage,
        StepOutlier,
    )
}

REPORTED_RULES: tuple[str, ...] = tuple(_JUDGING)
"""What ProfilerReport runs, and writes a file of each."""

_FIELDS_OF_THE_REPORT = {
    f"{rule}_{name}": (field.annotation, field)
    for rule, model in _JUDGING.items()
    for name, field in model.model_fields.items()
    if name != "published_defaults"
}


class ReportParameters(ProfilerParameters):
    """Of rule ProfilerReport: those of all other rules, as `<rule>_<parameter>`."""

    opt_out_telemetry: bool = Field(
        False, description="whether AWS is not to hear of the report; Clary tells nobody anything"
    )

    @classmethod
    def names_in_words(cls) -> str:
        """Its own, and how those of the rules are called: there are some sixty of them."""
        own = ", ".join(ReportParameters.model_fields)
        return f"{own}, and <rule>_<parameter> of {', '.join(REPORTED_RULES)}"

    def of(self, rule: str) -> ProfilerParameters:
        """Those of one of the rules."""
        prefix = f"{rule}_"
        own = {
            name.removeprefix(prefix): value
            for name, value in self.model_dump(exclude_unset=True).items()
            if name.startswith(prefix)
        }
        shared = {"published_defaults": self.published_defaults}
        return _JUDGING[rule].model_validate({**shared, **own})


ProfilerReport = create_model(  # type: ignore[call-overload]
    "ProfilerReport",
    __base__=ReportParameters,
    __doc__=ReportParameters.__doc__,
    __module__=__name__,
    **_FIELDS_OF_THE_REPORT,
)

PROFILER_RULES: Mapping[str, type[ProfilerParameters]] = {**_JUDGING, REPORT: ProfilerReport}
"""The parameters of each rule, by the name of `rule_to_invoke`."""


def parse_profiler_parameters(rule: str, given: Mapping[str, str]) -> ProfilerParameters:
    """The parameters of a profiler rule.

    Args:
        rule: the name of `rule_to_invoke`.
        given: all that stands in a request's RuleParameters; its own keys are left out.

    Raises:
        UsageError: the rule is not offered, or one line per parameter that cannot be used.
    """
    model = PROFILER_RULES.get(rule)
    if model is None:
        raise UsageError(_unknown_rule(rule))
    own = own_parameters(given)
    return model.parse(_as_spelled(own) if rule == REPORT else own, rule)


def _as_spelled(given: Mapping[str, str]) -> dict[str, str]:
    """`<rule>_<parameter>` in whatever case, as SageMaker's SDK takes it, in ours."""
    known = {name.lower(): name for name in ProfilerReport.model_fields}
    return {known.get(name.lower(), name): text for name, text in given.items()}


def _unknown_rule(rule: str) -> str:
    if rule in NOT_OFFERED:
        return f"rule {rule} is not offered: {NOT_OFFERED[rule]}"
    if rule in BUILT_IN_RULES:
        return f"rule {rule} judges tensors, not time: put it among DebugRuleConfigurations"
    near = difflib.get_close_matches(rule, PROFILER_RULES, n=1)
    hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(PROFILER_RULES)}"
    return f"there is no profiler rule {rule!r}: {hint}"
