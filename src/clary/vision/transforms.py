"""From a decoded picture to a network's input: geometry on uint8, normalisation on the device.

Pictures are uint8 arrays of shape (height, width, 3); what a transform gives is (S, S, 3) with
S = `Preprocessing.image_size`. A transform holds no state: all randomness comes from the
generator it is called with, so threads may share one.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from clary.formats.preprocessing import Preprocessing
from clary.formats.training_options import Augmentation
from clary.vision.augmentation import distort, erase, trivial_augment
from clary.vision.geometry import EvaluationTransform, Image, Transform

CROP_SCALES: dict[Augmentation, tuple[float, float]] = {
    "standard": (0.35, 1.0),
    "strong": (0.25, 1.0),
    "trivial": (0.35, 1.0),
}
CROP_RATIOS = (3 / 4, 4 / 3)
CROP_ATTEMPTS = 10


class TrainingTransform:
    """A random view of a picture.

    | augmentation | what it does                                                           |
    |--------------|------------------------------------------------------------------------|
    | `none`       | the evaluation transform                                               |
    | `flip`       | the evaluation transform, mirrored every other time                    |
    | `standard`   | random crop of 35–100 % of the area at ratio 3:4–4:3, mirrored          |
    | `strong`     | crop of 25–100 %, mirrored, colours and angle distorted, a part erased |
    | `trivial`    | as `standard`, then one random operation of TrivialAugmentWide         |

    Source of the crop: Szegedy et al. 2015, "Going deeper with convolutions", section 6; of the
    last policy: Müller and Hutter 2021, "TrivialAugment".
    """

    def __init__(self, preprocessing: Preprocessing, augmentation: Augmentation) -> None:
        self.image_size = preprocessing.image_size
        self.min_side = 2 * preprocessing.resize_size
        self._augmentation = augmentation
        self._evaluation = EvaluationTransform(preprocessing)
        self._interpolation = preprocessing.interpolation

    def __call__(self, image: Image, rng: np.random.Generator | None = None) -> Image:
        """Give a view as uint8 of shape (S, S, 3).

        Raises:
            ValueError: `rng` is None but the augmentation is random.
        """
        if self._augmentation == "none":
            return self._evaluation(image)
        if rng is None:
            raise ValueError(f"augmentation {self._augmentation!r} needs a random generator")
        scales = CROP_SCALES.get(self._augmentation)
        if scales is None:
            view = self._evaluation(image)
        else:
            left, top, width, height = random_crop(image.shape[1], image.shape[0], scales, rng)
            crop = image[top : top + height, left : left + width]
            view = resize_crop(crop, self.image_size, self._interpolation)
        if rng.random() < 0.5:
            view = view[:, ::-1]
        if self._augmentation == "strong":
            view = erase(distort(view, rng), rng)
        elif self._augmentation == "trivial":
            view = trivial_augment(view, rng)
        return view

    def for_view(self, view: int) -> Transform:
        """View 0 is the evaluation transform, all others are random."""
        return self._evaluation if view == 0 else self


def random_crop(
    width: int, height: int, scales: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Left, top, width and height in pixels of a random part of the picture.

    The part has between `scales[0]` and `scales[1]` of the area and a ratio of 3:4 to 4:3; when
    ten draws do not fit, it is the largest central part of an allowed ratio.
    """
    for _ in range(CROP_ATTEMPTS):
        area = width * height * rng.uniform(*scales)
        ratio = math.exp(rng.uniform(math.log(CROP_RATIOS[0]), math.log(CROP_RATIOS[1])))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            left = int(rng.integers(0, width - crop_width + 1))
            top = int(rng.integers(0, height - crop_height + 1))
            return left, top, crop_width, crop_height
    crop_width = min(width, max(1, round(height * CROP_RATIOS[1])))
    crop_height = min(height, max(1, round(width / CROP_RATIOS[0])))
    return (width - crop_width) // 2, (height - crop_height) // 2, crop_width, crop_height


def resize_crop(crop: Image, size: int, interpolation: str) -> Image:
    """Resize a part of a picture to (size, size) with antialiasing.

    Torch's uint8 kernel takes a quarter of Pillow's time here (0.15 against 0.56 ms for
    320×280 to 224) and may differ by two levels, which augmentation does not mind.
    """
    # A copy, dense and writable: views take the kernel's slow path.
    pixels = torch.from_numpy(np.array(crop, order="C"))
    resized = torch.nn.functional.interpolate(
        pixels.permute(2, 0, 1)[None], size=(size, size), mode=interpolation, antialias=True
    )
    view: Image = resized[0].permute(1, 2, 0).numpy()
    return view


def transform_for_view(
    preprocessing: Preprocessing, augmentation: Augmentation, view: int
) -> Transform:
    """The transform of a view: view 0 is the evaluation transform, all others are augmented.

    A single view is view 0: features of a random crop that is seen in every epoch would be worse
    than those of the picture itself.
    """
    return TrainingTransform(preprocessing, augmentation).for_view(view)


def view_of_epoch(epoch: int, views: int) -> int:
    """Which of `views` views an epoch (from 1) is trained on: each in its turn."""
    return (epoch - 1) % views


def augmentation_rng(seed: int, turn: int, index: int, occurrence: int = 0) -> np.random.Generator:
    """The generator of one picture's augmentation: the same wherever and whenever it is made.

    `turn` is the view or the epoch; `occurrence` tells apart the copies of a picture that a
    weighted sampler draws several times in one epoch.
    """
    return np.random.default_rng([seed, turn, index, occurrence])


def to_network_input(
    images_nhwc: torch.Tensor,
    preprocessing: Preprocessing,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    channels_last: bool = True,
) -> torch.Tensor:
    """Normalise uint8 pictures of shape (N, S, S, 3) into (N, 3, S, S) of `dtype` on `device`.

    The pictures travel as uint8, and are scaled and shifted there in float32: x·a + b with
    a = 1 / (255·std) and b = −mean / std. The result is a channels_last view of its NHWC memory,
    or a dense NCHW copy when `channels_last` is false.
    """
    pixels = images_nhwc.to(device, non_blocking=True)
    count, height, width, _ = pixels.shape
    scale, shift = _normalisation(preprocessing.mean, preprocessing.std, width, str(pixels.device))
    rows = pixels.view(count, height, width * 3)
    if pixels.device.type == "cpu":
        # A picture at a time: it stays in the second-level cache from one pass to the next.
        normalised = torch.empty(rows.shape, dtype=dtype)
        for row, out in zip(rows, normalised, strict=True):
            values = row.float()
            out.copy_(torch.addcmul(shift, values, scale, out=values))
    else:
        normalised = torch.addcmul(shift, rows.float(), scale).to(dtype)
    images = normalised.view(count, height, width, 3).permute(0, 3, 1, 2)
    return images if channels_last else images.contiguous()


@lru_cache(maxsize=32)
def _normalisation(mean: Any, std: Any, width: int, device: str) -> tuple[torch.Tensor, ...]:
    deviation = torch.tensor(std, dtype=torch.float64)
    scale = 1 / (255 * deviation)
    shift = -torch.tensor(mean, dtype=torch.float64) / deviation
    # Repeated along a row, so that the innermost loop is long enough for vector instructions.
    return tuple(part.float().repeat(width).to(device) for part in (scale, shift))
