"""What a window looks into: what one worker of a training has saved, as it is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from clary.formats.tensor_log.entries import CollectionRecord, Statistics, Step, UnitKind

Floats = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]
Tensor = npt.NDArray[Any]


@dataclass(frozen=True)
class Series:
    """One number per step: `steps` rise, `values` are float64 of the same length."""

    steps: Steps
    values: Floats

    def __len__(self) -> int:
        return len(self.steps)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Series:
        """The part of it that is chosen."""
        return Series(self.steps[chosen], self.values[chosen])

    def between(self, first: int, last: int) -> Series:
        """The part from step `first` to step `last`, both included."""
        low, high = np.searchsorted(self.steps, [first, last + 1])
        return Series(self.steps[low:high], self.values[low:high])


class Source(Protocol):
    """What one worker has saved. Steps are numbers over all modes.

    Who owns it: the runner, on one thread. It changes when its log is refreshed, and only by
    growing at its end.
    """

    @property
    def worker(self) -> str:
        """The worker's name."""

    @property
    def collections(self) -> Mapping[str, CollectionRecord]:
        """Collections as the hook was configured."""

    def steps(self) -> Sequence[Step]:
        """All steps at which something was saved, in order."""

    def names(self) -> Sequence[str]:
        """All tensors of which something was saved."""

    def kinds(self, name: str) -> frozenset[str]:
        """What was saved of a tensor: `scalar`, `statistics`, `raw`, and kinds of units."""

    def captured(self, name: str) -> Sequence[int]:
        """The steps at which something of a tensor was saved, in order; none for a stranger."""

    def means(self, name: str) -> Series:
        """The mean of a tensor at each captured step; of a scalar, its value."""

    def statistics(self, name: str, step: int) -> Statistics | None:
        """Of a tensor at a step: as saved, or of the whole tensor or scalar that was saved."""

    def units(self, name: str, kind: UnitKind, step: int) -> npt.NDArray[np.float32] | None:
        """A number per channel or picture; None where the hook has not kept it."""

    def raw(self, name: str, step: int) -> Tensor | None:
        """The whole tensor, a scalar as one without dimensions; None where it was not saved."""
