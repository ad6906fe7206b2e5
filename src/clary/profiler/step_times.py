"""The steps of one mode as arrays, without what else happened while they ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clary.formats.timeline.entries import PHASES, Mode, Span, SpanKind
from clary.profiler.intervals import Floats, Intervals
from clary.profiler.profile import Profile

# What takes its time beside the steps, also where it happens while a step lasts.
BESIDE: tuple[SpanKind, ...] = (
    "evaluation", "checkpoint", "loader_start", "features", "operators",
)  # fmt: skip


@dataclass(frozen=True)
class StepTimes:
    """Records of steps, n of them: (n) arrays, `phases_s` and `device_s` (n, 5), NaN as 0.

    `seconds` is what the steps themselves took: `beside_s`, which spans took meanwhile, is not in
    it. `own_s` is what the phases leave of `seconds`: the script's own. `measured` and
    `on_device` say which phases were measured at all.
    """

    starts_s: Floats
    ends_s: Floats
    first: npt.NDArray[np.int64]
    merged: Floats
    pictures: Floats
    seconds: Floats
    longest_s: Floats
    phases_s: Floats
    device_s: Floats
    own_s: Floats
    beside_s: Floats
    measured: tuple[bool, ...]
    on_device: tuple[bool, ...]

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return int(self.merged.sum())

    @property
    def each_s(self) -> Floats:
        """Seconds a step, of each record."""
        return self.seconds / self.merged

    @property
    def median_s(self) -> float:
        """The median step; 0 where there is none."""
        return weighted_median(self.each_s, self.merged)

    @property
    def device_step_s(self) -> float | None:
        """What the accelerator computes in a step, on average over those where it was measured."""
        busy = self.device_s.sum(axis=1)
        known = busy > 0
        return float(busy[known].sum() / self.merged[known].sum()) if known.any() else None

    def phase_s(self, name: str) -> float:
        """What a phase took of all steps together."""
        return float(self.phases_s[:, PHASES.index(name)].sum())

    def after(self, records: int) -> StepTimes:
        """Without so many records at the beginning."""
        arrays = {
            name: value[records:]
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        return StepTimes(**arrays, measured=self.measured, on_device=self.on_device)


def step_times(profile: Profile, mode: Mode = Mode.TRAIN) -> StepTimes:
    """Of a profile's first process; computed once until the profile changes."""
    return profile.once(
        f"step times {mode.name}", lambda one: of_records(one.steps(mode), one.spans)
    )


def of_records(records: npt.NDArray[Any], spans: Sequence[Span]) -> StepTimes:
    """Of the records of one process, `STEP_DTYPE`, and its spans."""
    starts = records["start_us"] / 1e6
    whole = records["seconds"].astype(np.float64)
    ends = starts + whole
    phases = records["phases_s"].astype(np.float64)
    device = records["device_s"].astype(np.float64)
    measured = [not np.isnan(column).all() for column in phases.T]
    on_device = [not np.isnan(column).all() for column in device.T]
    phases, device = np.nan_to_num(phases), np.nan_to_num(device)
    left = np.maximum(whole - phases.sum(axis=1), 0.0)
    beside = Intervals(
        (one.start_us / 1e6, one.end_us / 1e6) for one in spans if one.kind in BESIDE
    )
    # What a span took of a phase, such as of waiting for data, stays with the phase.
    beside_s = np.minimum(beside.within(starts, ends), left)
    own = left - beside_s
    some = len(records) > 0
    return StepTimes(
        starts_s=starts,
        ends_s=ends,
        first=records["step"].astype(np.int64),
        merged=np.maximum(records["merged"].astype(np.float64), 1.0),
        pictures=records["pictures"].astype(np.float64),
        seconds=whole - beside_s,
        longest_s=records["longest_s"].astype(np.float64),
        phases_s=phases,
        device_s=device,
        own_s=own,
        beside_s=beside_s,
        measured=tuple(bool(one) and some for one in measured),
        on_device=tuple(bool(one) and some for one in on_device),
    )


def weighted_median(values: Floats, weights: Floats) -> float:
    """The value at half of the weight; 0 where there is none."""
    if not len(values):
        return 0.0
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
