"""Pictures as arrays: pixels of shape (H, W, 3) or (N, H, W, 3), whole numbers from 0 to 255.

What a network of one's own would take, floats with the channels first, normalised by whoever sent
them, is refused and not guessed: the server resizes and normalises itself, and a wrong guess would
be a wrong answer that looks right.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from clary.endpoint.invocation import Refusal

Pixels = npt.NDArray[np.uint8]
_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def pictures_of_npy(body: bytes) -> list[Pixels]:
    """The pictures of an array in .npy form; no pickle is ever loaded.

    Raises:
        Refusal: 400, it is no such array, or its values are no pixels.
    """
    return pictures_of_array(_array(body))


def pictures_of_array(values: npt.NDArray[Any]) -> list[Pixels]:
    """The pictures of an array.

    Args:
        values: any array; of shape (H, W, 3) or (N, H, W, 3), red first, where it is right.

    Raises:
        Refusal: 400, it has another shape, or its values are no pixels.
    """
    if values.ndim == 3:
        values = values[None]
    if values.ndim != 4 or values.shape[-1] != 3 or 0 in values.shape:
        first = values.ndim == 4 and values.shape[1] == 3
        raise Refusal(
            400,
            f"the array has shape {values.shape}"
            + (", channels first as a network takes them" if first else "")
            + ": send pictures as (H, W, 3) or (N, H, W, 3), red first; the server resizes and "
            "normalises them",
        )
    if values.dtype != np.uint8:
        _require_pixels(values)
        values = values.astype(np.uint8)
    return list(values)


def _require_pixels(values: npt.NDArray[Any]) -> None:
    if values.dtype.kind not in "iuf":
        raise Refusal(400, f"the array holds {values.dtype}: send whole numbers from 0 to 255")
    # A NaN compares false with everything.
    if not (values.min() >= 0 and values.max() <= 255 and bool((values == np.floor(values)).all())):
        raise Refusal(
            400,
            "the array does not hold pixels: send whole numbers from 0 to 255, not normalised; the "
            "server does that",
        )


def _array(body: bytes) -> npt.NDArray[Any]:
    stream = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(stream)
        shape, columns_first, dtype = _READ_HEADER[version](stream)
    except Exception as error:
        # The header is a Python literal: given damaged ones, its reader raises nearly anything.
        reason = str(error)[:200] or type(error).__name__
        raise Refusal(400, f"the body is not an array in .npy form: {reason}") from error
    if dtype.hasobject:
        raise Refusal(400, "the array holds Python objects, which are never loaded: send numbers")
    if dtype.subdtype is not None or any(side < 0 for side in shape):
        # What numpy never writes: its pieces would not make an array of this shape.
        raise Refusal(
            400,
            f"the array announces shape {shape} of {dtype}, which no array has: save it by "
            "numpy.save",
        )
    start = stream.tell()
    # Before anything of that size is claimed: a header may announce any.
    if len(body) - start != math.prod(shape) * dtype.itemsize or dtype.itemsize == 0:
        raise Refusal(
            400,
            f"the array announces shape {shape} of {dtype} but {len(body) - start:,} bytes follow: "
            "it is truncated or damaged",
        )
    values = np.frombuffer(body, dtype=dtype, offset=start)
    return values.reshape(shape, order="F" if columns_first else "C")
