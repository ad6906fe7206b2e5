"""Which part of a picture a network sees, and at which size: numpy and Pillow, without torch.

Pictures are uint8 arrays of shape (height, width, 3); what a transform gives is (S, S, 3) with
S = `Preprocessing.image_size`. Training, evaluation, prediction and serving all pass through here.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from clary.formats.preprocessing import Preprocessing

Image = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]

RESAMPLING = {
    "bilinear": PillowImage.Resampling.BILINEAR,
    "bicubic": PillowImage.Resampling.BICUBIC,
}


class Transform(Protocol):
    """What the loader calls for each picture, from several threads at once.

    `min_side` is the short side in pixels that a decoded picture needs to have to lose nothing
    visible: larger pictures may be decoded at a reduced scale.
    """

    image_size: int
    min_side: int

    def __call__(self, image: Image, rng: np.random.Generator | None = None) -> Image:
        """Give the picture as uint8 of shape (S, S, 3)."""
        ...

    def for_view(self, view: int) -> Transform:
        """The transform of one view: view 0 is the evaluation transform in any case."""
        ...


def resized_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Width and height once the short side is `short_side`, rounded as torchvision rounds."""
    if width <= height:
        return short_side, max(short_side, int(short_side * height / width))
    return max(short_side, int(short_side * width / height)), short_side


def evaluation_box(width: int, height: int, preprocessing: Preprocessing) -> Box:
    """The part of a picture that resize-then-centre-crop shows: left, top, right, bottom.

    Resizing this box to (S, S) has the very scale of the two steps, so that both agree to a
    level of rounding.
    """
    size = preprocessing.image_size
    new_width, new_height = resized_size(width, height, preprocessing.resize_size)
    left, top = round((new_width - size) / 2), round((new_height - size) / 2)
    x_scale, y_scale = width / new_width, height / new_height
    return (
        left * x_scale,
        top * y_scale,
        min((left + size) * x_scale, width),
        min((top + size) * y_scale, height),
    )


class EvaluationTransform:
    """Resize the short side to `resize_size`, cut the centre square; one Pillow call."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.image_size = preprocessing.image_size
        self.min_side = 2 * preprocessing.resize_size
        self._preprocessing = preprocessing
        self._resampling = RESAMPLING[preprocessing.interpolation]

    def __call__(self, image: Image, rng: np.random.Generator | None = None) -> Image:
        """Give the picture as uint8 of shape (S, S, 3); `rng` is not used."""
        height, width = image.shape[:2]
        size = self.image_size
        new_width, new_height = resized_size(width, height, self._preprocessing.resize_size)
        if (new_width, new_height) == (width, height):
            left, top = round((width - size) / 2), round((height - size) / 2)
            return image[top : top + size, left : left + size]
        box = evaluation_box(width, height, self._preprocessing)
        picture = PillowImage.fromarray(image)
        return np.asarray(picture.resize((size, size), self._resampling, box=box))

    def for_view(self, view: int) -> Transform:
        """Itself: every view of it is the same."""
        return self
