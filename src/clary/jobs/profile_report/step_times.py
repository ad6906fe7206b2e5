"""How long steps take: quantiles, their distribution, and those that take far longer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clary.formats.timeline import PHASES, Mode
from clary.jobs.pages.wording import brief
from clary.jobs.profile_report.envelopes import Floats
from clary.jobs.profile_report.material import Material
from clary.jobs.profile_report.resources import QUANTILES
from clary.jobs.profile_report.wording import PHASE_WORDS

BARS = 40
MOST_OUTLIERS = 10
# A step is an outlier beyond so many of the usual deviation (1.4826 × MAD), and beyond so many
# times the median; what is shorter than a hundredth of a second more is nobody's trouble.
_DEVIATIONS, _TIMES, _LEAST_S = 6.0, 1.5, 0.01
# Times up to this quantile are in the bars; the rest is counted.
_DRAWN = 0.99


@dataclass(frozen=True)
class StepTimes:
    """The steps of a mode in one process, in seconds."""

    worker: str
    mode: Mode
    count: int
    mean_s: float
    quantiles_s: tuple[float, ...]


@dataclass(frozen=True)
class Histogram:
    """How many steps took how long: `counts` in equal bins from `low_s` to `high_s`.

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


def step_times(material: Material) -> tuple[StepTimes, ...]:
    """Quantiles of each process and mode, training first."""
    profile = material.profile
    return tuple(
        found
        for mode in (Mode.TRAIN, Mode.EVAL)
        for host in profile.hosts
        for worker in host.workers.values()
        if (found := _of(f"{host.name} · {worker.name}", mode, worker.steps(mode))) is not None
    )


def histogram(steps: npt.NDArray[Any]) -> Histogram | None:
    """The distribution of the steps of one mode; None where there are none.

    Args:
        steps: (n,) of `STEP_DTYPE`.
    """
    if not len(steps):
        return None
    seconds, weights = a_step(steps)
    low, high, middle = weighted_quantiles(seconds, weights, (0.0, _DRAWN, 0.5))
    high = max(high, middle * 1.2, low + 1e-6)
    edges = np.linspace(low, high, BARS + 1)
    counts, _ = np.histogram(seconds, edges, weights=weights)
    beyond = int(weights[seconds > high].sum())
    return Histogram(low, high, tuple(int(one) for one in counts), beyond, middle)


def outliers(material: Material) -> Outliers | None:
    """The training steps that took far longer than the others; None where none did."""
    steps = material.profile.steps(Mode.TRAIN)
    if len(steps) < 4:
        return None
    seconds, weights = a_step(steps)
    middle = weighted_quantiles(seconds, weights, (0.5,))[0]
    deviation = 1.4826 * weighted_quantiles(np.abs(seconds - middle), weights, (0.5,))[0]
    bound = max(middle + _DEVIATIONS * deviation, _TIMES * middle, middle + _LEAST_S)
    longest = steps["longest_s"].astype(np.float64)
    places = np.flatnonzero(longest > bound)
    if not len(places):
        return None
    worst = places[np.argsort(-longest[places], kind="stable")][:MOST_OUTLIERS]
    usual = _usual_phases(steps)
    return Outliers(
        worst=tuple(_outlier(material, steps[place], middle, usual) for place in worst),
        count=len(places),
        cost_s=float((longest[places] - middle).sum()),
    )


def a_step(steps: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """The seconds of a step in each record, and how many steps it stands for."""
    weights = np.maximum(steps["merged"], 1).astype(np.float64)
    return steps["seconds"].astype(np.float64) / weights, weights


def weighted_quantiles(
    values: Floats, weights: Floats, shares: tuple[float, ...]
) -> tuple[float, ...]:
    """Quantiles of values that stand for several each."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    places = np.searchsorted(reached, np.asarray(shares) * reached[-1], side="left")
    return tuple(float(values[order[min(place, len(order) - 1)]]) for place in places)


def _of(worker: str, mode: Mode, steps: npt.NDArray[Any]) -> StepTimes | None:
    if not len(steps):
        return None
    seconds, weights = a_step(steps)
    shares = tuple(share for _, share in QUANTILES)
    quantiles = weighted_quantiles(seconds, weights, shares)
    return StepTimes(
        worker=worker,
        mode=mode,
        count=int(weights.sum()),
        mean_s=float((seconds * weights).sum() / weights.sum()),
        quantiles_s=(float(steps["longest_s"].max()), *quantiles[1:]),
    )


def _usual_phases(steps: npt.NDArray[Any]) -> Floats:
    phases = np.nan_to_num(steps["phases_s"].astype(np.float64))
    return np.asarray(np.median(phases / np.maximum(steps["merged"], 1)[:, None], axis=0))


def _outlier(material: Material, record: Any, middle: float, usual: Floats) -> Outlier:
    start = float(record["start_us"]) / 1e6
    return Outlier(
        step=int(record["step"]),
        at_s=start - (material.started_s or start),
        seconds=float(record["longest_s"]),
        times=float(record["longest_s"]) / max(middle, 1e-9),
        why="; ".join(_reasons(material, record, middle, usual)),
    )


def _reasons(material: Material, record: Any, middle: float, usual: Floats) -> Iterator[str]:
    start, merged = int(record["start_us"]), int(record["merged"])
    end = start + int(float(record["seconds"]) * 1e6)
    if merged > 1:
        yield f"one of {merged} steps from here on"
    near = {
        span.kind
        for span in material.profile.spans
        if span.start_us < end and span.end_us > start - 1000
    }
    for kind, words in (
        ("evaluation", "an evaluation ran"),
        ("checkpoint", "a checkpoint was written"),
        ("loader_start", "the loader was started"),
        ("operators", "torch.profiler was looking"),
    ):
        if kind in near:
            yield words
    if int(record["step"]) == 0:
        yield "the first step, in which memory is taken and libraries warm up"
        return
    if merged > 1:
        return
    excess = np.nan_to_num(record["phases_s"].astype(np.float64)) - usual
    own = float(record["seconds"]) - middle - float(excess.sum())
    parts = dict(zip(PHASES, excess.tolist(), strict=True)) | {"other": own}
    key = max(parts, key=lambda name: parts[name])
    if parts[key] > 0.5 * (float(record["seconds"]) - middle):
        yield f"{PHASE_WORDS[key]}: {brief(parts[key])} more than usual"
