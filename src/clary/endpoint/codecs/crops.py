"""From a picture of a request to what the network sees of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clary.endpoint.codecs.requests import Picture
from clary.endpoint.invocation import Refusal
from clary.errors import UnreadablePicture
from clary.formats.preprocessing import Preprocessing
from clary.vision.decoding import decode_picture
from clary.vision.geometry import EvaluationTransform


def crop(picture: Picture, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """Decode a picture, resize and cut it as the training's evaluation does.

    Takes milliseconds of a core, without the interpreter's lock for nearly all of them: call it
    on a thread.

    Args:
        picture: an encoded file, or uint8 of shape (H, W, 3).
        preprocessing: the model's.

    Returns:
        uint8 of shape (S, S, 3), S being `image_size`.

    Raises:
        Refusal: 400, the picture is truncated, damaged, too large or of no known format.
    """
    transform = EvaluationTransform(preprocessing)
    if isinstance(picture, np.ndarray):
        return transform(picture)
    try:
        return transform(decode_picture(picture, "the body", min_side=transform.min_side))
    except UnreadablePicture as error:
        raise Refusal(400, f"the body cannot be read as a picture: {error.reason}") from error
