"""A step while it goes on, and several short ones as one."""

from __future__ import annotations

import math

from clary.formats.timeline import PHASES, Mode, StepRecord

MERGED_NS = 20_000_000
# Of steps that are recorded together: what lies between two of them is nothing to speak of.
GAP_NS = 2_000_000


class Step:
    """One step, or short ones that follow each other; times are of `time.perf_counter_ns`."""

    __slots__ = (
        "device_s", "longest_ns", "measured", "merged", "mode", "nanoseconds", "number",
        "phases_ns", "pictures", "start_ns",
    )  # fmt: skip

    def __init__(self, mode: Mode, start_ns: int) -> None:
        self.mode = mode
        self.start_ns = start_ns
        self.number = 0
        self.nanoseconds = 0
        self.longest_ns = 0
        self.merged = 1
        self.pictures = 0
        self.measured = 0
        self.phases_ns = [0] * len(PHASES)
        self.device_s: list[float] = []

    def joins(self, step: Step) -> bool:
        """Whether a step is recorded together with this one, which it follows."""
        return (
            step.nanoseconds < MERGED_NS
            and step.mode == self.mode
            and step.number == self.number + self.merged
            and 0 <= step.start_ns - self.start_ns - self.nanoseconds < GAP_NS
        )

    def add(self, step: Step) -> None:
        """Take in the step that follows."""
        self.nanoseconds += step.nanoseconds
        self.longest_ns = max(self.longest_ns, step.nanoseconds)
        self.merged += 1
        self.pictures += step.pictures
        self.measured |= step.measured
        mine, its = self.phases_ns, step.phases_ns
        for place, nanoseconds in enumerate(its):
            mine[place] += nanoseconds
        self.device_s = [
            b if math.isnan(a) else a if math.isnan(b) else a + b
            for a, b in zip(self.device_s, step.device_s, strict=True)
        ]

    def record(self, start_us: int) -> StepRecord:
        """As it stands in a timeline."""
        return StepRecord(
            mode=self.mode,
            step=self.number,
            start_us=start_us,
            seconds=self.nanoseconds / 1e9,
            longest_s=self.longest_ns / 1e9,
            merged=self.merged,
            pictures=self.pictures,
            phases_s=tuple(
                nanoseconds / 1e9 if self.measured >> place & 1 else math.nan
                for place, nanoseconds in enumerate(self.phases_ns)
            ),
            device_s=tuple(self.device_s),
        )
