"""What all causes look at, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from clary.formats.timeline.entries import Facts, Loading
from clary.profiler import readings
from clary.profiler.breakdown import Breakdown, break_down
from clary.profiler.profile import Host, Profile
from clary.profiler.step_times import StepTimes, step_times, weighted_median

Cause = Literal[
    "data_loading",
    "small_batches",
    "memory_leak",
    "evaluation",
    "checkpoints",
    "own_code",
    "initialization",
    "outliers",
    "device_idle",
]

Rule = Literal[
    "BatchSize",
    "Dataloader",
    "GPUMemoryIncrease",
    "LowGPUUtilization",
    "OverallFrameworkMetrics",
    "StepOutlier",
]

LEAST_STEPS = 5
LEAST_LOOP_S = 3.0
"""Less than so many steps or seconds say nothing."""
_DISTURBED = 0.25
_BUSY = 75.0
LEAST_GAIN = 1.05
"""What a change must bring to be worth a word."""


@dataclass(frozen=True)
class Diagnosis:
    """One cause, in the order of what a change would bring.

    `share` is the part of the training loop that it takes (0 to 1). `gain` is by how much the
    training loop would be faster after `change`, as its time now over its time then; None where
    it cannot be predicted.
    """

    cause: Cause
    evidence: str
    """One sentence with the numbers: what was seen."""
    change: str
    """One sentence: what to do, such as which option to set."""
    share: float
    gain: float | None = None
    rule: Rule | Literal[""] = ""
    """Of SageMaker's, which judges it."""


class Situation:
    """A profile, and what is computed of it once for all causes. One thread uses it."""

    def __init__(self, profile: Profile) -> None:
        """As the profile stands; it is not refreshed meanwhile."""
        self.profile = profile
        self.breakdown: Breakdown = break_down(profile)
        self.train: StepTimes = step_times(profile)

    @property
    def facts(self) -> Facts | None:
        """What the first process says of itself."""
        return self.profile.facts

    @property
    def host(self) -> Host | None:
        """The machine of the process that speaks for the training."""
        main = self.profile.main
        return next(
            (one for one in self.profile.hosts if main in one.workers.values()),
            next(iter(self.profile.hosts), None),
        )

    @property
    def is_enough(self) -> bool:
        """Whether there is enough of a training loop to speak of."""
        return self.train.steps >= LEAST_STEPS and self.breakdown.loop_s >= LEAST_LOOP_S

    @cached_property
    def steady(self) -> StepTimes:
        """The training steps without the first record: it warms up."""
        return self.train.after(1) if len(self.train.seconds) > LEAST_STEPS else self.train

    @property
    def stretch(self) -> tuple[float, float]:
        """When the training loop began and ended, in seconds since 1970."""
        return self.breakdown.loop_bounds or readings.FOREVER

    @property
    def cores(self) -> int:
        """Of the machine, for the job; 1 where it is not known."""
        if self.facts is not None and self.facts.cores:
            return self.facts.cores
        return max(1, self._sampled_cores)

    @property
    def machine_cores(self) -> int:
        """Of the machine, for all programs: more than the job has in a container."""
        return max(self.cores, self._sampled_cores)

    @property
    def missing_cores(self) -> float:
        """How many of the job's cores other programs kept busy during the loop, on average."""
        return max(0.0, self.others_cores - (self.machine_cores - self.cores))

    @property
    def _sampled_cores(self) -> int:
        return 0 if self.host is None else len(self.host.system.of("CPUUtilization"))

    @cached_property
    def cores_used(self) -> float | None:
        """How many cores the job kept busy during the loop, on average."""
        if self.host is None:
            return None
        used = readings.cores_used(self.host, self.stretch)
        return None if used is None else min(used, float(self.cores))

    @cached_property
    def others_cores(self) -> float:
        """How many cores other programs of the machine kept busy during the loop, on average."""
        return self.others_in(self.stretch)

    @cached_property
    def is_disturbed(self) -> bool:
        """Whether other programs took so much of a busy machine that single steps say little."""
        return self.is_disturbed_in(self.stretch)

    def others_in(self, stretch: readings.Stretch) -> float:
        """How many cores other programs kept busy in a stretch of time, on average."""
        used = None if self.host is None else readings.cores_used(self.host, stretch)
        if self.host is None or used is None:
            return 0.0
        busy = readings.all_samples(self.host, "CPUUtilization", stretch)
        total = sum(samples.mean() or 0.0 for samples in busy.values()) / 100
        return max(0.0, total - min(used, float(self.cores)))

    def is_disturbed_in(self, stretch: readings.Stretch) -> bool:
        """Whether other programs took a quarter of a busy machine in a stretch of time."""
        if self.host is None or self.others_in(stretch) <= _DISTURBED * self.machine_cores:
            return False
        return (readings.cpu(self.host, stretch).mean() or 0.0) >= _BUSY

    @property
    def loading(self) -> Loading | None:
        """How pictures come to the training steps."""
        return None if self.facts is None else self.facts.train_loading

    @property
    def steps_to_an_epoch(self) -> int:
        """Of the training; 0 where it is not known."""
        return (self.facts.steps_per_epoch if self.facts is not None else None) or 0

    @property
    def is_clary(self) -> bool:
        """Whether Clary's own loop trains, so that its options are what can be changed."""
        return self.loading is not None and self.loading.kind == "clary"

    @property
    def on_gpu(self) -> bool:
        """Whether the steps compute on an accelerator."""
        return self.facts is not None and self.facts.device.startswith(("cuda", "mps", "xpu"))

    @cached_property
    def device_step_s(self) -> float | None:
        """For how long the accelerator computes in a training step, in seconds.

        As it was measured, or by how much of the loop it works; None where neither is known. Work
        is queued there: it goes on while Python waits.
        """
        if any(self.train.on_device):
            return self.steady.device_step_s
        if not self.on_gpu or self.host is None or not self.steady.steps:
            return None
        means = [one.mean() or 0.0 for one in readings.gpus(self.host, self.stretch).values()]
        step_s = float(self.steady.seconds.sum()) / self.steady.steps
        return max(means) / 100 * step_s if means else None

    @cached_property
    def waiting_s(self) -> float:
        """For how long training steps wait for their data, in seconds, all together.

        Beside an accelerator only as far as that has nothing to do.
        """
        waits = self.train.phase_s("data")
        if self.device_step_s is None:
            return waits
        idle = float(self.train.seconds.sum()) - self.train.steps * self.device_step_s
        return min(waits, max(0.0, idle))

    @property
    def clock_was_set_back(self) -> bool:
        """Whether later steps have earlier times."""
        return bool((np.diff(self.train.first) < 0).any()) and not self.is_mixed

    @property
    def is_mixed(self) -> bool:
        """Whether programs that ran one after the other were recorded as one: both begin at 0."""
        return bool((self.train.first == 0).sum() > 1)

    @cached_property
    def batch_size(self) -> float:
        """Pictures of the usual training step; 0 where it is not known."""
        if self.train.pictures.any():
            return weighted_median(self.train.pictures / self.train.merged, self.train.merged)
        known = None if self.facts is None else self.facts.batch_size
        return float(known or 0)

    def gain(self, saved_s: float) -> float:
        """The loop's time now over its time without so many seconds of it; 50 at most."""
        loop = self.breakdown.loop_s
        return loop / max(loop - saved_s, 0.02 * loop) if loop else 1.0

    def share(self, seconds: float) -> float:
        """Of the training loop."""
        return min(1.0, seconds / self.breakdown.loop_s) if self.breakdown.loop_s else 0.0


def situation_of(profile: Profile) -> Situation:
    """Of a profile as it stands."""
    return profile.once("situation", Situation)
