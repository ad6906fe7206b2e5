"""Where the time of a job went: what a report shows and what a verdict rests on.

job      = initialization + training loop + finalization
loop     = steps + evaluation + checkpoints + the rest
step     = data + transfer + forward + backward + optimizer + the script's own
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Breakdown:
    """Seconds of one job, as the first process of its training saw them.

    `phases_s` are of all training steps together, by the names of `PHASES` and `other`; those of
    the accelerator, where it was measured, in `device_s`. `step_s` is the median of a training
    step. `loop_s` contains `evaluation_s` and `checkpoint_s`.
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

    @property
    def job_s(self) -> float:
        """From the job's start to its end."""
        return self.initialization_s + self.loop_s + self.finalization_s
