"""A training step as one bar: how much of it each phase takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clary.formats.timeline import PHASES
from clary.jobs.profile_report.words import PHASE_MEANINGS, PHASE_WORDS
from clary.profiler.breakdown import OTHER
from clary.profiler.causes.situation import situation_of
from clary.profiler.profile import Profile

# What is less of a step is not measurable.
_LEAST = 1e-4


@dataclass(frozen=True)
class Phase:
    """A part of the bar: seconds a step in the mean, its share, and what the device took."""

    key: str
    label: str
    meaning: str
    seconds: float
    share: float
    device_s: float | None = None


@dataclass(frozen=True)
class StepBar:
    """`seconds` is the mean of so many `steps`."""

    phases: tuple[Phase, ...]
    seconds: float
    steps: int

    @property
    def on_device(self) -> bool:
        """Whether the accelerator's own times are known."""
        return any(one.device_s is not None for one in self.phases)


def step_bar(profile: Profile) -> StepBar | None:
    """The bar of a job's training steps; None where there were none, or no phase was measured.

    As in the verdict, the first record is left out where there are others: it warms up.
    """
    taken = situation_of(profile).steady
    if not taken.steps:
        return None
    parts = dict.fromkeys(PHASE_WORDS, 0.0)
    parts |= dict(zip(PHASES, taken.phases_s.sum(axis=0).tolist(), strict=True))
    parts[OTHER] = float(taken.own_s.sum())
    device_s = dict(zip(PHASES, taken.device_s.sum(axis=0).tolist(), strict=True))
    measured = dict(zip(PHASES, taken.on_device, strict=True))
    device_s = {key: seconds for key, seconds in device_s.items() if measured[key]}
    total = sum(parts.values())
    if total <= 0:
        return None
    phases = tuple(
        _phase(key, seconds, total, taken.steps, device_s)
        for key, seconds in parts.items()
        if seconds > _LEAST * total
    )
    return StepBar(phases, total / taken.steps, taken.steps)


def _phase(
    key: str, seconds: float, total: float, steps: int, device_s: Mapping[str, float]
) -> Phase:
    return Phase(
        key=key,
        label=PHASE_WORDS[key],
        meaning=PHASE_MEANINGS[key],
        seconds=seconds / steps,
        share=seconds / total,
        device_s=device_s[key] / steps if key in device_s else None,
    )
