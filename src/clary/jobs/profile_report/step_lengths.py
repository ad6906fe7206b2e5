"""How long steps take: quantiles, their distribution, and those that take far longer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clary.formats.timeline import PHASES, Mode
from clary.jobs.profile_report.envelopes import Floats
from clary.jobs.profile_report.material import Material
from clary.jobs.profile_report.resources import QUANTILES
from clary.jobs.profile_report.words import PHASE_WORDS
from clary.profiler.causes.outliers import LongSteps, long_steps
from clary.profiler.step_times import StepTimes, of_records, step_times
from clary.profiler.wording import brief

BARS = 40
MOST_OUTLIERS = 10
# As SageMaker's rule has it by default.
_DEVIATIONS = 3.0
# What is shorter than this is nobody's trouble.
_LEAST_S = 0.01
# Times up to this quantile are in the bars; the rest is counted.
_DRAWN = 0.99


@dataclass(frozen=True)
class StepRow:
    """The steps of a mode in one process, in seconds; the quantiles are those of `QUANTILES`."""

    worker: str
    mode: Mode
    count: int
    mean_s: float
    quantiles_s: tuple[float, ...]


@dataclass(frozen=True)
class Histogram:
    """How many took how long: `counts` in equal bins from `low_s` to `high_s`.

    `beyond` took longer than that.
    """

    low_s: float
    high_s: float
    counts: tuple[int, ...]
    beyond: int
    median_s: float


@dataclass(frozen=True)
class Outlier:
    """A step that took far longer than the others; `at_s` is since the job's start."""

    step: int
    at_s: float
    seconds: float
    times: float
    why: str


@dataclass(frozen=True)
class Outliers:
    """The longest of them, how many there are, and what they cost beyond the usual."""

    worst: tuple[Outlier, ...]
    count: int
    cost_s: float


def step_rows(material: Material) -> tuple[StepRow, ...]:
    """Quantiles of each process and mode, training first."""
    held = [
        (f"{host.name} · {worker.name}", mode, of_records(worker.steps(mode), worker.spans))
        for mode in (Mode.TRAIN, Mode.EVAL)
        for host in material.profile.hosts
        for worker in host.workers.values()
    ]
    return tuple(_row(name, mode, steps) for name, mode, steps in held if steps.steps)


def step_histograms(material: Material) -> tuple[tuple[str, Histogram], ...]:
    """The distributions of the first process: of `training` and of `evaluation`."""
    held = (
        (name, step_times(material.profile, mode))
        for name, mode in (("training", Mode.TRAIN), ("evaluation", Mode.EVAL))
    )
    return tuple((name, histogram(one.each_s, one.merged)) for name, one in held if one.steps)


def histogram(seconds: Floats, weights: Floats) -> Histogram:
    """The distribution of times, (n,) and at least one, that stand for `weights` each, (n,)."""
    low, high, middle = weighted_quantiles(seconds, weights, (0.0, _DRAWN, 0.5))
    high = max(high, middle * 1.2, low + 1e-6)
    counts, _ = np.histogram(seconds, BARS, (low, high), weights=weights)
    beyond = int(weights[seconds > high].sum())
    return Histogram(low, high, tuple(int(one) for one in counts), beyond, middle)


def outliers(material: Material) -> Outliers | None:
    """The training steps that took far longer than the others; None where none did."""
    steps = step_times(material.profile)
    if not steps.steps:
        return None
    found = long_steps(steps, _DEVIATIONS)
    kept = found.records[found.extra_s > _LEAST_S]
    extra = found.extra_s[found.extra_s > _LEAST_S]
    if not len(kept):
        return None
    worst = kept[np.argsort(-extra, kind="stable")][:MOST_OUTLIERS]
    usual = np.median(steps.phases_s / steps.merged[:, None], axis=0)
    return Outliers(
        worst=tuple(_outlier(material, steps, int(place), found, usual) for place in worst),
        count=len(kept),
        cost_s=float(extra.sum()),
    )


def weighted_quantiles(
    values: Floats, weights: Floats, shares: tuple[float, ...]
) -> tuple[float, ...]:
    """Quantiles of values that stand for several each."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    places = np.searchsorted(reached, np.asarray(shares) * reached[-1], side="left")
    return tuple(float(values[order[min(place, len(order) - 1)]]) for place in places)


def _row(name: str, mode: Mode, steps: StepTimes) -> StepRow:
    each, weights = steps.each_s, steps.merged
    quantiles = weighted_quantiles(each, weights, tuple(share for _, share in QUANTILES))
    longest = np.where(weights > 1, steps.longest_s, each).max()
    return StepRow(
        worker=name,
        mode=mode,
        count=steps.steps,
        mean_s=float(np.average(each, weights=weights)),
        quantiles_s=(float(longest), *quantiles[1:]),
    )


def _outlier(
    material: Material, steps: StepTimes, place: int, found: LongSteps, usual: Floats
) -> Outlier:
    merged = steps.merged[place] > 1
    seconds = float(steps.longest_s[place] if merged else steps.seconds[place])
    start = float(steps.starts_s[place])
    return Outlier(
        step=int(steps.first[place]),
        at_s=start - (start if material.started_s is None else material.started_s),
        seconds=seconds,
        times=seconds / max(found.usual_s, 1e-9),
        why="; ".join(_reasons(material, steps, place, found.usual_s, usual)),
    )


def _reasons(
    material: Material, steps: StepTimes, place: int, usual_s: float, usual: Floats
) -> Iterator[str]:
    start, end = steps.starts_s[place], steps.ends_s[place]
    if steps.merged[place] > 1:
        yield f"one of {steps.merged[place]:.0f} steps from here on"
    near = {
        span.kind
        for span in material.profile.spans
        if span.start_us / 1e6 < end and span.end_us / 1e6 > start - 1e-3
    }
    for kind, words in (
        ("evaluation", "beside an evaluation"),
        ("checkpoint", "beside a checkpoint"),
        ("loader_start", "the loader was started"),
        ("operators", "torch.profiler was looking"),
    ):
        if kind in near:
            yield words
    if int(steps.first[place]) == 0:
        yield "the first step, in which memory is taken and libraries warm up"
    elif steps.merged[place] == 1:
        yield from _longest_part(steps, place, usual_s, usual)


def _longest_part(steps: StepTimes, place: int, usual_s: float, usual: Floats) -> Iterator[str]:
    excess = dict(zip(PHASES, (steps.phases_s[place] - usual).tolist(), strict=True))
    excess["other"] = float(steps.own_s[place])
    key = max(excess, key=lambda name: excess[name])
    if excess[key] > 0.5 * (float(steps.seconds[place]) - usual_s):
        yield f"{PHASE_WORDS[key]}: {brief(excess[key])} more than usual"
