"""Units of activation layers: a number per channel, from the hook or from the whole tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from clary.formats.tensor_log.entries import UnitKind
from clary.rules.source import Tensor
from clary.rules.window import Window

Fractions = npt.NDArray[np.float64]
# A unit that rests for one batch need not be dead: so many captures are taken together.
CAPTURES = 3


def with_units(window: Window, kind: UnitKind) -> tuple[str, ...]:
    """Tensors of which the hook has kept units of a kind."""
    return tuple(name for name in window.names() if kind in window.kinds(name))


def unit_fractions(
    window: Window,
    name: str,
    step: int,
    inside: Callable[[Tensor], npt.NDArray[np.bool_]],
    kind: UnitKind | None,
) -> Fractions | None:
    """Of each channel, the fraction of elements that `inside` holds for; None where not saved.

    Args:
        window: where.
        name: the tensor (N, C, …), or (N, T, C) with three dimensions.
        step: the capture.
        inside: takes the whole tensor.
        kind: what the hook counts the same way; None where it counts otherwise.
    """
    if kind is not None:
        units = window.units(name, kind, step)
        if units is not None:
            return units.astype(np.float64)
    tensor = window.raw(name, step)
    if tensor is None or tensor.ndim < 2:
        return None
    channel = 2 if tensor.ndim == 3 else 1
    others = tuple(axis for axis in range(tensor.ndim) if axis != channel)
    return np.asarray(inside(tensor).mean(axis=others, dtype=np.float64))


def recent_fractions(
    window: Window,
    name: str,
    step: int,
    at: Callable[[str, int], Fractions | None],
    *,
    published: bool,
) -> Fractions | None:
    """The fractions of a capture, or their mean over the last captures; None before there are.

    Args:
        window: where.
        name: the tensor.
        step: the newest capture.
        at: the fractions of one capture.
        published: judge a capture by itself.
    """
    if published:
        return at(name, step)
    captured = [one for one in window.captured(name) if one <= step]
    last_look = window.ended and step == window.captured(name)[-1]
    if len(captured) < CAPTURES and not last_look:
        return None
    return _mean([at(name, one) for one in captured[-CAPTURES:]])


def _mean(several: Sequence[Fractions | None]) -> Fractions | None:
    known = [one for one in several if one is not None]
    if not known or any(one.shape != known[0].shape for one in known):
        return None
    return np.asarray(np.mean(known, axis=0))
