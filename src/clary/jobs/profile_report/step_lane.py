"""What training steps are made of over the job's time, as layers above each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clary.formats.timeline import PHASES
from clary.jobs.profile_report.envelopes import BINS, Floats, Window, envelope
from clary.jobs.profile_report.lanes import (
    WIDTH,
    Curve,
    Lane,
    area_path,
    axis_ticks,
    field_y,
    stretch_texts,
)
from clary.jobs.profile_report.material import Material
from clary.jobs.profile_report.words import PHASE_WORDS
from clary.profiler.breakdown import OTHER
from clary.profiler.causes.situation import situation_of
from clary.profiler.step_times import StepTimes, step_times
from clary.profiler.wording import brief

# So many steps are drawn each by itself.
_MOST_SINGLE = 200


def step_lane(material: Material, window: Window) -> Lane | None:
    """What a step is made of over time, as layers; None where no step was seen."""
    steps = step_times(material.profile)
    if not steps.steps:
        return None
    parts = np.column_stack([steps.phases_s, steps.own_s]) / steps.merged[:, None]
    layers = (
        _single_steps(steps, parts, window)
        if len(parts) <= _MOST_SINGLE
        else _many_steps(steps, parts, window)
    )
    total = layers.heights.sum(axis=0)
    if not total.size:
        return None
    high = min(1.05 * float(total.max()), 1.5 * float(np.quantile(total, 0.95))) or 1.0
    below = np.zeros_like(total)
    curves, pointed = [], []
    # The legend's means are those of the step's bar.
    warm = len(parts) - len(situation_of(material.profile).steady.seconds)
    for key, height, each_s in zip((*PHASES, OTHER), layers.heights, parts.T, strict=True):
        if height.max() <= 0:
            continue
        mean = brief(float(np.average(each_s[warm:], weights=steps.merged[warm:])))
        area = layers.area(below, below + height, high)
        curves.append(Curve(PHASE_WORDS[key], key, mean, area=area))
        pointed.append(layers.texts([brief(one) for one in height.tolist()]))
        below = below + height
    longest = float(np.where(steps.merged > 1, steps.longest_s, steps.seconds).max())
    return Lane(
        title="A training step",
        curves=tuple(curves),
        ticks=axis_ticks(high, "seconds"),
        pointed=tuple(pointed),
        note=f"up to {brief(longest)}" if longest > high else "",
        kind="steps",
    )


@dataclass(frozen=True)
class _Layers:
    """What each part takes of a step: `heights` (parts, n), and how a layer of them is drawn."""

    heights: Floats
    area: Callable[[Floats, Floats, float], str]
    texts: Callable[[Sequence[str]], tuple[str | None, ...]]


def _many_steps(steps: StepTimes, parts: Floats, window: Window) -> _Layers:
    """Means of each stretch of time."""
    middles = steps.starts_s + steps.seconds / 2
    drawn = [envelope(middles, part, window, weights=steps.merged) for part in parts.T]
    first = drawn[0]
    return _Layers(
        np.stack([one.mean for one in drawn]),
        lambda low, top, high: area_path(first, low, top, high),
        lambda texts: stretch_texts(first, texts),
    )


def _single_steps(steps: StepTimes, parts: Floats, window: Window) -> _Layers:
    """Each record from where it began to where it ended."""
    begins = [window.share(one) for one in steps.starts_s.tolist()]
    ends = [window.share(one) for one in (steps.starts_s + steps.seconds).tolist()]

    def area(low: Floats, top: Floats, high: float) -> str:
        places = zip(begins, ends, low.tolist(), top.tolist(), strict=True)
        return "".join(
            f"M{WIDTH * begin:.1f} {field_y(under, high)}V{field_y(over, high)}"
            f"H{WIDTH * end:.1f}V{field_y(under, high)}Z"
            for begin, end, under, over in places
            if over > under
        )

    def texts(said: Sequence[str]) -> tuple[str | None, ...]:
        found: list[str | None] = [None] * BINS
        for begin, end, text in zip(begins, ends, said, strict=True):
            first = min(int(begin * BINS), BINS - 1)
            for place in range(first, min(max(int(end * BINS), first + 1), BINS)):
                found[place] = text
        return tuple(found)

    return _Layers(parts.T, area, texts)
