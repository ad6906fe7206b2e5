"""Where the time of a job went: what a report shows and what a verdict rests on.

job      = initialization + training loop + finalization
loop     = steps + evaluation + checkpoints + features + the rest
step     = data + transfer + forward + backward + optimizer + the script's own
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from clary.formats.timeline.entries import PHASES, Mode, SpanKind
from clary.profiler.intervals import Intervals
from clary.profiler.profile import Profile
from clary.profiler.step_times import StepTimes, step_times

OTHER = "other"
"""What the phases leave of a step: the script's own."""

_CLOCK_WAS_SET = 1.05
"""Parts that are longer than their whole by more than this factor tell of a clock that was set."""


@dataclass(frozen=True)
class Breakdown:
    """Seconds of one job, as the first process of its training saw them.

    `phases_s` are of all training steps together, by the names of `PHASES` and `other`; those of
    the accelerator, where it was measured, in `device_s`. `step_s` is the median of a training
    step. `loop_s` contains `evaluation_s`, `checkpoint_s` and `features_s`; `other_s` is what all
    of them leave of it. `steps_s` is without what else happened while a step lasted.
    """

    initialization_s: float = 0.0
    loop_s: float = 0.0
    finalization_s: float = 0.0
    steps: int = 0
    steps_s: float = 0.0
    step_s: float = 0.0
    evaluation_s: float = 0.0
    checkpoint_s: float = 0.0
    other_s: float = 0.0
    phases_s: Mapping[str, float] = field(default_factory=dict)
    device_s: Mapping[str, float] = field(default_factory=dict)
    pictures_per_s: float | None = None
    """While steps were taken."""
    features_s: float = 0.0
    """Features of a frozen backbone, computed once before the steps of a head."""
    started_s: float | None = None
    """When the job began, in seconds since 1970; None where nothing is known."""

    @property
    def job_s(self) -> float:
        """From the job's start to its end."""
        return self.initialization_s + self.loop_s + self.finalization_s

    @property
    def loop_bounds(self) -> tuple[float, float] | None:
        """When the training loop began and ended, in seconds since 1970."""
        if self.started_s is None or not self.loop_s:
            return None
        begin = self.started_s + self.initialization_s
        return begin, begin + self.loop_s


def break_down(profile: Profile) -> Breakdown:
    """Where the time of a job went, as far as it is known.

    The loop begins with the first step or with the first features that are computed, and ends
    with the last step, evaluation or checkpoint. While a job runs there is no finalization yet;
    before its first step all of it is initialization. Where a clock was set back meanwhile, so
    that what happened takes longer than the loop, its sum is the loop.
    """
    train, evaluated = step_times(profile), step_times(profile, Mode.EVAL)
    bounds = profile.bounds
    if bounds is None:
        return Breakdown()
    began, ended = _job_bounds(profile, bounds)
    loop = _loop(profile, train, evaluated, began)
    if loop is None:
        return Breakdown(initialization_s=max(0.0, bounds[1] - began), started_s=began)
    begin, end = loop
    stretches = {
        kind: _spans(profile, kind, begin, end) for kind in ("evaluation", "checkpoint", "features")
    }
    told = np.asarray(stretches["evaluation"], dtype=np.float64).reshape(-1, 2)
    evaluation = Intervals.of(
        np.concatenate([told[:, 0], evaluated.starts_s]),
        np.concatenate([told[:, 1], evaluated.ends_s]),
    )
    checkpoints = Intervals(stretches["checkpoint"])
    evaluation_s = evaluation.total_s - _both(evaluation, checkpoints)
    features_s = Intervals(stretches["features"]).total_s
    steps_s = float(train.seconds.sum())
    known = steps_s + evaluation_s + checkpoints.total_s + features_s
    if known > _CLOCK_WAS_SET * (end - begin):
        end = begin + known
    return Breakdown(
        initialization_s=begin - began,
        loop_s=end - begin,
        finalization_s=max(0.0, ended - end) if ended is not None else 0.0,
        steps=train.steps,
        steps_s=steps_s,
        step_s=train.median_s,
        evaluation_s=evaluation_s,
        checkpoint_s=checkpoints.total_s,
        features_s=features_s,
        other_s=max(0.0, end - begin - known),
        phases_s=_phases(train),
        device_s={
            name: float(train.device_s[:, number].sum())
            for number, name in enumerate(PHASES)
            if train.on_device[number]
        },
        pictures_per_s=float(train.pictures.sum()) / steps_s
        if steps_s and train.pictures.any()
        else None,
        started_s=began,
    )


def _job_bounds(profile: Profile, bounds: tuple[float, float]) -> tuple[float, float | None]:
    facts = profile.facts
    began = profile.job.started_s
    if began is None:
        moments = [one.start_us / 1e6 for one in profile.spans]
        moments += [facts.started_us / 1e6] if facts is not None else []
        began = min([bounds[0], *moments])
    ended = profile.job.ended_s
    if ended is None and facts is not None and facts.ended_us is not None:
        ended = max(facts.ended_us / 1e6, bounds[1])
    return began, ended


def _loop(
    profile: Profile, train: StepTimes, evaluated: StepTimes, began: float
) -> tuple[float, float] | None:
    starts = [float(one.starts_s[0]) for one in (train, evaluated) if len(one.starts_s)]
    starts += [one.start_us / 1e6 for one in profile.spans if one.kind == "features"]
    if not starts:
        return None
    begin = max(min(starts), began)
    ends = [float(one.ends_s.max()) for one in (train, evaluated) if len(one.ends_s)]
    ends += [
        one.end_us / 1e6
        for one in profile.spans
        if one.kind in ("evaluation", "checkpoint", "features") and one.end_us / 1e6 > begin
    ]
    return begin, max([begin, *ends])


def _spans(profile: Profile, kind: SpanKind, begin: float, end: float) -> list[tuple[float, float]]:
    return [
        (max(one.start_us / 1e6, begin), min(one.end_us / 1e6, end))
        for one in profile.spans
        if one.kind == kind
    ]


def _both(one: Intervals, other: Intervals) -> float:
    return float(one.within(other.begins, other.ends).sum())


def _phases(train: StepTimes) -> dict[str, float]:
    if not train.steps:
        return {}
    found = {
        name: float(train.phases_s[:, number].sum())
        for number, name in enumerate(PHASES)
        if train.measured[number]
    }
    return {**found, OTHER: float(np.sum(train.own_s))}
