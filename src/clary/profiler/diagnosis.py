"""What holds a training back, and what to change: causes in words, with numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    rule: str = ""
    """The rule of SageMaker that judges it, such as `Dataloader`."""
