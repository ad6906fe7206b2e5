"""Where a history comes from: Clary's tensor log, or files of the original library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from clary.formats.tensor_log import Names, Span
from clary.formats.tensor_log.entries import Array, CollectionRecord, Mode, Statistics, Step


class Source(Protocol):
    """What `History` asks. One thread at a time uses it; steps are numbers over all modes.

    It shows what was there when it was made or last refreshed. Without a worker, the first one
    that has a value gives it.
    """

    ended: bool
    workers: tuple[str, ...]
    reductions_as_saved: bool

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong with the watching itself."""

    @property
    def collections(self) -> Mapping[str, CollectionRecord]:
        """How the hook was configured."""

    def __contains__(self, name: str) -> bool: ...

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new."""

    def steps(self, mode: Mode = Mode.GLOBAL) -> tuple[Step, ...]:
        """Steps of a mode, or of all, by number."""

    def arrived(self, after: int) -> Sequence[Step]:
        """Steps in the order in which they were first seen, but for so many of the earliest."""

    def last_step(self, worker: str) -> int:
        """The last step at which a worker kept anything; -1 without any."""

    def names(self) -> Mapping[str, Names]:
        """What is there, by the tensors' names."""

    def scalars(
        self, name: str, worker: str | None = None, span: Span = ...
    ) -> Mapping[int, float]:
        """Values by step."""

    def statistics(
        self, name: str, worker: str | None = None, span: Span = ...
    ) -> Mapping[int, Statistics]:
        """Statistics by step."""

    def units(
        self, name: str, kind: str, worker: str | None = None, span: Span = ...
    ) -> Mapping[int, npt.NDArray[np.float32]]:
        """Values of channels or pictures by step."""

    def reduction(
        self, name: str, step: int, reduction: str, *, absolute: bool, worker: str | None = None
    ) -> float | None:
        """A reduction by SageMaker's name; None where it was not kept."""

    def steps_of(self, name: str, worker: str | None = None, span: Span = ...) -> tuple[int, ...]:
        """Steps at which anything of a tensor was kept."""

    def raw_steps(self, name: str, worker: str | None = None, span: Span = ...) -> tuple[int, ...]:
        """Steps whose whole tensor was kept."""

    def raw(self, name: str, step: int, worker: str | None = None) -> Array:
        """The whole tensor of a step."""

    def shape(self, name: str, step: int, worker: str | None = None) -> tuple[int, ...]:
        """The shape that a tensor had at a step."""
