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


class Cropper:
    """Decodes pictures, resizes and cuts them as a training's evaluation does.

    Takes milliseconds of a core, without the interpreter's lock for nearly all of them: call it
    on a thread. Several may share one.
    """

    def __init__(self, preprocessing: Preprocessing, *, max_pixels: int = MAX_PIXELS) -> None:
        """Cut for one model.

        Args:
            preprocessing: the model's.
            max_pixels: of a file; decoding takes up to 25 bytes for each, and a small file may hold
                any number of them.
        """
        self._transform = EvaluationTransform(preprocessing)
        self._max_pixels = max_pixels

    def __call__(self, picture: Picture) -> npt.NDArray[np.uint8]:
        """What the network sees: uint8 of shape (S, S, 3), S being `image_size`.

        Args:
            picture: an encoded file, or uint8 of shape (H, W, 3).

        Raises:
            Refusal: 400, the picture is truncated, damaged or of no known format; 413, it has too
                many pixels.
        """
        if isinstance(picture, np.ndarray):
            return self._transform(picture)
        try:
            header = read_header(picture, "the body")
            if header.width * header.height > self._max_pixels:
                raise Refusal(
                    413,
                    f"the picture has {header.width:,} by {header.height:,} pixels, over the bound "
                    f"of {self._max_pixels:,}: send it smaller, or set CLARY_MAX_PIXELS in the "
                    "model's environment",
                )
            min_side = self._transform.min_side
            pixels = decode_with_header(picture, header, "the body", min_side=min_side)
            return self._transform(pixels)
        except UnreadablePicture as error:
            raise Refusal(400, f"the body cannot be read as a picture: {error.reason}") from error
