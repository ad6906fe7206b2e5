"""What all parts of the report are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from clary.formats.profiler_rule_parameters import ProfilerParameters
from clary.profiler.breakdown import Breakdown, break_down
from clary.profiler.diagnosis import Diagnosis, diagnose, verdict
from clary.profiler.profile import Profile
from clary.profiler.rules.judging import of_diagnoses
from clary.profiler.rules.rule import Judgement

TELLS_THE_REST = "OverallFrameworkMetrics"
"""In its name is told what is found without a rule of SageMaker's that could fire for it."""


@dataclass(frozen=True)
class Material:
    """A job as the report sees it.

    `started_s` and `ended_s` are the bounds of all figures over time, in seconds since 1970; None
    where nothing is known of the job. `sentences` are the verdict's three.
    """

    profile: Profile
    name: str
    started_s: float | None
    ended_s: float | None
    breakdown: Breakdown
    diagnoses: tuple[Diagnosis, ...]
    sentences: tuple[str, ...]
    judgements: Mapping[str, Judgement]
    parameters: Mapping[str, ProfilerParameters] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether the job has ended."""
        facts = self.profile.facts
        told = facts is not None and facts.ended_us is not None
        return told or self.profile.job.ended_s is not None

    @property
    def seconds(self) -> float:
        """How much time the figures cover."""
        if self.started_s is None or self.ended_s is None:
            return 0.0
        return self.ended_s - self.started_s


def gather(
    profile: Profile,
    judgements: Mapping[str, Judgement],
    *,
    name: str = "",
    parameters: Mapping[str, ProfilerParameters] | None = None,
) -> Material:
    """Put together what is known of a job.

    Args:
        profile: what was recorded; it is not refreshed.
        judgements: what each rule says of it, by the rule's name.
        name: the job's, where the profile does not know it.
        parameters: those of rules that were not judged by the defaults.
    """
    bounds, broken = profile.bounds, break_down(profile)
    started, ended = (None, None) if bounds is None else bounds
    if broken.started_s is not None and ended is not None:
        started = broken.started_s
        ended = max(profile.job.ended_s or ended, started)
    return Material(
        profile=profile,
        name=profile.job.name or name or "profile",
        started_s=started,
        ended_s=ended,
        breakdown=broken,
        diagnoses=diagnose(profile),
        sentences=tuple(verdict(profile)),
        judgements=_with_the_rest(profile, judgements),
        parameters=dict(parameters or {}),
    )


def _with_the_rest(
    profile: Profile, judgements: Mapping[str, Judgement]
) -> Mapping[str, Judgement]:
    told = judgements.get(TELLS_THE_REST)
    if told is None:
        return dict(judgements)
    found = (*told.findings, *of_diagnoses(profile, TELLS_THE_REST))
    return {**judgements, TELLS_THE_REST: replace(told, findings=found)}
