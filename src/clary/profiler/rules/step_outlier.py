"""Whether some steps last much longer than others."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from clary.formats import profiler_rule_parameters as models
from clary.formats.findings import Finding
from clary.formats.text import counted
from clary.formats.timeline.entries import Mode
from clary.profiler.causes.outliers import HOLDS_UP, LongSteps, long_steps
from clary.profiler.causes.situation import situation_of
from clary.profiler.profile import Profile
from clary.profiler.rules.judging import (
    has_settled,
    main_worker,
    nothing_sampled,
    of_diagnoses,
    quantiles,
)
from clary.profiler.rules.rule import Judgement, Moment, ProfilerRule
from clary.profiler.step_times import StepTimes, step_times
from clary.profiler.wording import brief, percent

_LEAST_STEPS = 20
_LEAST_SHARE = 0.05
_LISTED = 50


class StepOutlier(ProfilerRule):
    """More than `n_outliers` steps of a mode last longer than the usual one by `stddev` deviations.

    The usual step is the median, the deviation 1.4826 times the median absolute deviation: a few
    long steps do not hide themselves. Where other programs take a quarter of the cores or more,
    long steps are theirs. They must take a twentieth of their mode's time beyond what
    usual steps would have: in a million steps, some hundreds always are long. The first step of a
    mode is left out. While a job runs it speaks after 30 s of its loop.
    `published_defaults`: mean, standard deviation and count alone.
    """

    parameters_model = models.StepOutlier
    parameters: models.StepOutlier
    description: ClassVar[str] = "Looks for steps that last much longer than others."
    recommendation: ClassVar[str] = (
        "See what happens at those steps: checkpoints, logging, pictures of odd sizes, other "
        "programs on the machine."
    )

    def judge(self, profile: Profile, moment: Moment) -> Judgement:
        """Mode by mode."""
        own = self.parameters
        modes = [one for one in Mode if own.mode in (None, one.name)]
        triggered = datapoints = 0
        findings: list[Finding] = []
        figures: dict[str, Any] = {}
        for mode in modes:
            times = step_times(profile, mode)
            datapoints += times.steps
            if not times.steps:
                continue
            if len(times.seconds) > 1 and not own.published_defaults:
                times = times.after(1)
            found = long_steps(times, own.stddev, published=own.published_defaults)
            figures[mode.name] = {
                **quantiles(times.each_s),
                "usual_s": found.usual_s,
                "bound_s": found.bound_s,
                "outliers": [
                    {"step": int(times.first[one]), "seconds": float(times.longest_s[one])}
                    for one in found.records[:_LISTED]
                ],
            }
            count = len(found.records)
            settled = own.published_defaults or has_settled(profile, moment)
            if count > own.n_outliers and settled and self._matters(profile, times, found):
                triggered += count
                findings.append(self._finding(profile, mode, times, found))
        if not datapoints:
            return nothing_sampled(self.name, moment, "no step was seen")
        if not own.published_defaults and not findings and has_settled(profile, moment):
            findings = list(of_diagnoses(profile, self.name))
            triggered += len(findings)
        return Judgement(triggered, datapoints, tuple(findings), figures)

    def _matters(self, profile: Profile, times: StepTimes, found: LongSteps) -> bool:
        if self.parameters.published_defaults:
            return True
        situation = situation_of(profile)
        if not situation.is_enough or situation.is_disturbed:
            return False
        extra = float(found.extra_s.sum())
        return times.steps >= _LEAST_STEPS and extra >= _LEAST_SHARE * float(times.seconds.sum())

    def _finding(self, profile: Profile, mode: Mode, times: StepTimes, found: LongSteps) -> Finding:
        began = situation_of(profile).breakdown.started_s or float(times.starts_s[0])
        worst = int(found.records[np.argmax(found.extra_s)])
        at = float(times.starts_s[worst]) - began
        extra = float(found.extra_s.sum())
        return Finding(
            rule=self.name,
            kind="issue",
            message=f"{counted(len(found.records), 'step')} of {times.steps:,} lasted longer than "
            f"{brief(found.bound_s)}, against a usual {brief(found.usual_s)}: "
            f"{percent(extra / max(float(times.seconds.sum()), 1e-9))} of their time; the longest "
            f"took {brief(float(times.longest_s[worst]))}, {brief(max(0.0, at))} into the job",
            cause="something holds single steps up",
            remedy=f"see what happens at those steps: checkpoints, {HOLDS_UP}",
            step=int(times.first[worst]),
            mode="TRAIN" if mode is Mode.TRAIN else "EVAL",
            worker=main_worker(profile),
            value=float(len(found.records)),
            bound=float(self.parameters.n_outliers),
        )
