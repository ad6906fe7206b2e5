"""Reductions of a tensor, as the original computes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from clary.formats.tensor_log.entries import Statistics

REDUCTIONS_PREFIX = "smdebug/reductions/"

_REDUCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "min": np.min,
    "max": np.max,
    "mean": np.mean,
    "std": np.std,
    "variance": np.var,
    "sum": np.sum,
    "prod": np.prod,
    "l1": lambda values: np.sum(np.absolute(values)),
    "l2": lambda values: np.sqrt(np.sum(np.square(values))),
}
_SPREAD = ("std", "variance")


def get_numpy_reduction(reduction_name: str, numpy_data: Any, abs: bool = False) -> Any:  # noqa: A002
    """A reduction of a whole tensor.

    Args:
        reduction_name: `min max mean std variance sum prod l1 l2`.
        numpy_data: any shape.
        abs: of the absolute values.

    Raises:
        KeyError: there is no such reduction.
    """
    held = np.absolute(numpy_data) if abs else np.asarray(numpy_data)
    with np.errstate(invalid="ignore", over="ignore"):
        return _REDUCTIONS[reduction_name](held)


def as_torch_reduces(kept: float, name: str, statistics: Statistics, *, absolute: bool) -> float:
    """A reduction of the finite elements as torch would give it for all of them.

    torch divides by n - 1 where statistics divide by n, and what is not finite spreads. Where
    statistics do not tell the sign of an infinity, the result is NaN.

    Args:
        kept: of the finite elements.
        name: of the reduction.
        statistics: what is known of the tensor.
        absolute: whether it is one of absolute values.
    """
    if statistics.nans:
        return math.nan
    if statistics.infs:
        positive = absolute or name in {"l1", "l2"}
        if name == "min" and positive:
            return kept
        return math.inf if positive and name in {"max", "mean", "sum", "l1", "l2"} else math.nan
    if name in _SPREAD and statistics.size > 1:
        ratio = statistics.size / (statistics.size - 1)
        return kept * (math.sqrt(ratio) if name == "std" else ratio)
    return kept
