"""Whether two captures are the same, by whole tensors or by what is known of them."""

from __future__ import annotations

import numpy as np

from clary.formats.tensor_log.entries import Statistics
from clary.rules.source import Tensor

_COMPARED = ("min", "max", "mean", "std", "abs_min", "prod", "l1", "l2")
_COUNTED = ("zeros", "nans", "infs")


def as_numbers(tensor: Tensor) -> Tensor:
    """What can be subtracted: booleans become 0 and 1."""
    return tensor.astype(np.int8) if tensor.dtype == np.bool_ else tensor


def close_statistics(
    first: Statistics, second: Statistics, *, rtol: float, atol: float, equal_nan: bool
) -> bool:
    """Whether all that is known of both is equal within tolerances; False where nothing is."""
    if first.size != second.size:
        return False
    if not equal_nan and (first.nans or second.nans):
        return False
    compared = 0
    for field in _COUNTED:
        counts = getattr(first, field), getattr(second, field)
        if None not in counts:
            if counts[0] != counts[1]:
                return False
            compared += field == "zeros"
    for field in _COMPARED:
        values = getattr(first, field), getattr(second, field)
        if None not in values:
            if not np.isclose(*values, rtol=rtol, atol=atol, equal_nan=True):
                return False
            compared += 1
    return compared > 0
