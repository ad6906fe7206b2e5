"""From a picture of a request to what the network sees of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clary.endpoint.codecs.requests import Picture
from clary.endpoint.invocation import Refusal
from clary.errors import UnreadablePicture
from clary.formats.preprocessing import Preprocessing
from clary.formats.replica import MAX_PIXELS
from clary.vision.decoding import decode_with_header
from clary.vision.geometry import EvaluationTransform
from clary.vision.headers import read_header


def crop(
    picture: Picture, preprocessing: Preprocessing, *, max_pixels: int = MAX_PIXELS
) -> npt.NDArray[np.uint8]:
    """Decode a picture, resize and cut it as the training's evaluation does.

    Takes milliseconds of a core, without the interpreter's lock for nearly all of them: call it
    on a thread.

    Args:
        picture: an encoded file, or uint8 of shape (H, W, 3).
        preprocessing: the model's.
        max_pixels: of a file; a small one may hold any number of them.

    Returns:
        uint8 of shape (S, S, 3), S being `image_size`.

    Raises:
        Refusal: 400, the picture is truncated, damaged or of no known format; 413, it has too many
            pixels.
    """
    transform = EvaluationTransform(preprocessing)
    if isinstance(picture, np.ndarray):
        return transform(picture)
    try:
        header = read_header(picture, "the body")
        if header.width * header.height > max_pixels:
            raise Refusal(
                413,
                f"the picture has {header.width:,} by {header.height:,} pixels, over the bound of "
                f"{max_pixels:,}: send it smaller, or set CLARY_MAX_PIXELS in the model's "
                "environment",
            )
        return transform(
            decode_with_header(picture, header, "the body", min_side=transform.min_side)
        )
    except UnreadablePicture as error:
        raise Refusal(400, f"the body cannot be read as a picture: {error.reason}") from error
