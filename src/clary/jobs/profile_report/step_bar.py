"""A training step as one bar: how much of it each phase takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clary.jobs.profile_report.words import PHASE_MEANINGS, PHASE_WORDS
from clary.profiler.breakdown import Breakdown

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
    """`seconds` is the mean of a step."""

    phases: tuple[Phase, ...]
    seconds: float

    @property
    def on_device(self) -> bool:
        """Whether the accelerator's own times are known."""
        return any(one.device_s is not None for one in self.phases)


def step_bar(broken: Breakdown) -> StepBar | None:
    """The bar of a job's training steps; None where there were none, or no phase was measured."""
    if not broken.steps:
        return None
    parts = {key: broken.phases_s.get(key, 0.0) for key in PHASE_WORDS}
    total = sum(parts.values())
    if total <= 0:
        return None
    phases = tuple(
        _phase(key, seconds, total, broken.steps, broken.device_s)
        for key, seconds in parts.items()
        if seconds > _LEAST * total
    )
    return StepBar(phases, total / broken.steps)


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
