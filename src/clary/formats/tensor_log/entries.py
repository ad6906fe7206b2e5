"""What a tensor log holds.

    Capture        all that was seen at one step
      Step           which step, of which mode
      scalars        losses, and numbers that a script records
      statistics     of each tensor: `Statistics`
      units          of each tensor, a number per channel or picture
      raw            whole tensors

Tensors bear the names that SageMaker's debugger gives them, such as `ResNet_fc.weight`,
`gradient/ResNet_fc.weight`, `layer1.0.relu_output_0` and `CrossEntropyLoss_output_0`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

from clary.errors import UsageError

UnitKind = Literal["positive", "active", "channel_means"]
Array = npt.NDArray[np.generic]


class Mode(IntEnum):
    """What the model was doing. `GLOBAL` is none: it stands for all of them together.

    In text it is what SageMaker's debugger calls it, such as `ModeKeys.TRAIN`, in every Python.
    """

    TRAIN = 1
    EVAL = 2
    PREDICT = 3
    GLOBAL = 4

    def __str__(self) -> str:
        return f"ModeKeys.{self.name}"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


@dataclass(frozen=True, slots=True)
class Step:
    """One forward pass. `number` counts from 0 over all modes, `mode_step` within its mode.

    `at` is when it began, in seconds since 1970.
    """

    number: int
    mode: Mode
    mode_step: int
    at: float


@dataclass(frozen=True)
class Histogram:
    """How often values fell into equal bins between `low` and `high`."""

    low: float
    high: float
    counts: tuple[int, ...]

    def quantile(self, fraction: float) -> float:
        """The value that a fraction of all lies below, by interpolation within its bin."""
        total = sum(self.counts)
        if total == 0:
            return math.nan
        wanted = fraction * total
        width = (self.high - self.low) / len(self.counts)
        below = 0
        for place, count in enumerate(self.counts):
            if count and below + count >= wanted:
                return self.low + (place + max(0.0, wanted - below) / count) * width
            below += count
        return self.high


@dataclass(frozen=True)
class Statistics:
    """Of one tensor at one step, over its finite elements. None: not measured.

    `size` is 0 where it is not known, as in what smdebug's own library wrote.
    `std` divides by the number of elements. `l1` and `l2` are norms. `update_l2` is the norm of
    the change since the capture before.
    """

    size: int
    zeros: int | None = None
    nans: int | None = None
    infs: int | None = None
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    abs_min: float | None = None
    prod: float | None = None
    l1: float | None = None
    l2: float | None = None
    update_l2: float | None = None
    histogram: Histogram | None = None

    @property
    def finite(self) -> int:
        """How many elements are neither NaN nor infinite."""
        return self.size - (self.nans or 0) - (self.infs or 0)

    def reduction(self, name: str, *, absolute: bool = False) -> float | None:
        """A reduction by SageMaker's name; None where it cannot be had from what was measured.

        Args:
            name: `min max mean std variance sum prod l1 l2`.
            absolute: of the absolute values, as `abs_` before a name asks for.

        Raises:
            KeyError: there is no reduction of that name.
        """
        read = _ABSOLUTE[name] if absolute else _PLAIN[name]
        return read(self)

    def _sum(self) -> float | None:
        return None if self.mean is None else self.mean * self.finite

    def _variance(self) -> float | None:
        return None if self.std is None else self.std**2

    def _abs_max(self) -> float | None:
        if self.min is None or self.max is None:
            return None
        return max(abs(self.min), abs(self.max))

    def _abs_mean(self) -> float | None:
        return None if self.l1 is None or not self.finite else self.l1 / self.finite

    def _abs_variance(self) -> float | None:
        mean = self._abs_mean()
        if mean is None or self.l2 is None:
            return None
        return max(0.0, self.l2**2 / self.finite - mean**2)

    def _abs_std(self) -> float | None:
        variance = self._abs_variance()
        return None if variance is None else math.sqrt(variance)


_Read = Callable[[Statistics], float | None]
_PLAIN: Mapping[str, _Read] = {
    "min": lambda s: s.min,
    "max": lambda s: s.max,
    "mean": lambda s: s.mean,
    "std": lambda s: s.std,
    "variance": Statistics._variance,
    "sum": Statistics._sum,
    "prod": lambda s: s.prod,
    "l1": lambda s: s.l1,
    "l2": lambda s: s.l2,
}
_ABSOLUTE: Mapping[str, _Read] = {
    "min": lambda s: s.abs_min,
    "max": Statistics._abs_max,
    "mean": Statistics._abs_mean,
    "std": Statistics._abs_std,
    "variance": Statistics._abs_variance,
    "sum": lambda s: s.l1,
    "prod": lambda s: None if s.prod is None else abs(s.prod),
    "l1": lambda s: s.l1,
    "l2": lambda s: s.l2,
}


@dataclass(frozen=True)
class RawTensor:
    """A whole tensor. `dtype` is a name of numpy's, or `bfloat16`; `data` is C-ordered bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview

    @classmethod
    def of(cls, array: npt.ArrayLike) -> RawTensor:
        """What a numpy array holds.

        Raises:
            UsageError: it holds something else than numbers.
        """
        held = np.asarray(array)
        if held.dtype.kind not in "biufc":
            raise UsageError(
                f"an array of {held.dtype} cannot be kept as a tensor: give an array of numbers"
            )
        little = held.astype(held.dtype.newbyteorder("<"), copy=False)
        return cls(held.dtype.name, held.shape, little.tobytes())

    def array(self) -> Array:
        """As a numpy array; bfloat16 comes as float32."""
        if self.dtype == "bfloat16":
            halves = np.frombuffer(self.data, dtype="<u2").astype(np.uint32) << 16
            return halves.view(np.float32).reshape(self.shape)
        return np.frombuffer(self.data, dtype=np.dtype(self.dtype)).reshape(self.shape)


@dataclass(frozen=True)
class Capture:
    """All that was seen at one step; each mapping goes by the tensors' names.

    `units` holds float32 arrays by kind: `positive`, the fraction of elements over 0 of each
    channel (C); `active`, the fraction inside the unsaturated interval of each channel (C);
    `channel_means`, of each picture (N, C). `shapes` is given where nothing else is kept.
    """

    step: Step
    scalars: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, Statistics] = field(default_factory=dict)
    units: Mapping[str, Mapping[UnitKind, npt.NDArray[np.float32]]] = field(default_factory=dict)
    raw: Mapping[str, RawTensor] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class CollectionRecord:
    """A collection as the hook was configured: what it takes, and when.

    `tensors` are the names that were found to belong to it.
    """

    name: str
    include_regex: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)

    def takes(self, name: str) -> bool:
        """Whether a tensor belongs to it."""
        return name in self.tensors or any(re.search(one, name) for one in self.include_regex)
