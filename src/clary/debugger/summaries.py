"""Statistics of a whole tensor, where a log kept that and nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clary.formats.tensor_log.entries import Array, Statistics, UnitKind


def summarize(tensor: Array) -> Statistics:
    """Statistics over its finite elements, in float64; of a complex tensor, over absolute values.

    Args:
        tensor: of any shape and any kind of number.
    """
    values = np.abs(tensor) if np.iscomplexobj(tensor) else tensor
    flat = np.asarray(values, dtype=np.float64).reshape(-1)
    size = int(flat.size)
    nans, infs = int(np.isnan(flat).sum()), int(np.isinf(flat).sum())
    if nans or infs:
        flat = flat[np.isfinite(flat)]
    if not flat.size:
        return Statistics(size, zeros=0, nans=nans, infs=infs)
    absolute = np.abs(flat)
    # The product and the squares of large numbers may well be more than a float holds.
    with np.errstate(over="ignore", under="ignore"):
        return Statistics(
            size,
            zeros=int(flat.size - np.count_nonzero(flat)),
            nans=nans,
            infs=infs,
            min=float(flat.min()),
            max=float(flat.max()),
            mean=float(flat.mean()),
            std=float(flat.std()),
            abs_min=float(absolute.min()),
            prod=float(flat.prod()),
            l1=float(absolute.sum()),
            l2=float(np.linalg.norm(flat)),
        )


def units_of(tensor: Array, kind: UnitKind) -> npt.NDArray[np.float32] | None:
    """What a unit kind says of a whole tensor (N, C, …); None where it cannot be told from it.

    `active` cannot: which interval counts depends on the module.

    Args:
        tensor: batch first, channels second.
        kind: `positive` gives (C), `channel_means` (N, C).
    """
    if tensor.ndim < 2:
        return None
    if kind == "positive":
        others = (0, *range(2, tensor.ndim))
        return np.asarray(np.asarray(np.greater(tensor, 0)).mean(axis=others), dtype=np.float32)
    if kind == "channel_means":
        spatial = tuple(range(2, tensor.ndim))
        return np.asarray(tensor.mean(axis=spatial, dtype=np.float64), dtype=np.float32)
    return None
