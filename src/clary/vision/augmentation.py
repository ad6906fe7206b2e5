"""Distortions of colour, angle and content that keep a picture's size."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageEnhance, ImageOps

Image = npt.NDArray[np.uint8]
Operation = Callable[[PillowImage.Image, float], PillowImage.Image]

BILINEAR = PillowImage.Resampling.BILINEAR
COLOUR_STRENGTH = 0.3
ROTATION_DEGREES = 15.0
ERASED_AREA = (0.02, 0.2)


def distort(image: Image, rng: np.random.Generator) -> Image:
    """Change brightness, contrast and saturation by up to 30 %; every other time, rotate by 15°."""
    picture = PillowImage.fromarray(np.ascontiguousarray(image))
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        factor = rng.uniform(1 - COLOUR_STRENGTH, 1 + COLOUR_STRENGTH)
        picture = enhancer(picture).enhance(factor)
    if rng.random() < 0.5:
        picture = picture.rotate(rng.uniform(-ROTATION_DEGREES, ROTATION_DEGREES), BILINEAR)
    return np.asarray(picture)


def erase(image: Image, rng: np.random.Generator, probability: float = 0.25) -> Image:
    """Now and then, replace 2 to 20 % of the picture by its mean colour.

    Source: Zhong et al. 2017, "Random erasing data augmentation".
    """
    if rng.random() >= probability:
        return image
    height, width = image.shape[:2]
    area = height * width * rng.uniform(*ERASED_AREA)
    ratio = math.exp(rng.uniform(math.log(0.3), -math.log(0.3)))
    part_height = min(height, max(1, round(math.sqrt(area * ratio))))
    part_width = min(width, max(1, round(math.sqrt(area / ratio))))
    top = int(rng.integers(0, height - part_height + 1))
    left = int(rng.integers(0, width - part_width + 1))
    erased: Image = image.copy()
    mean = image.reshape(-1, 3).mean(axis=0).astype(np.uint8)
    erased[top : top + part_height, left : left + part_width] = mean
    return erased


def trivial_augment(image: Image, rng: np.random.Generator) -> Image:
    """Apply one operation of TrivialAugmentWide's space at a random strength.

    Source: Müller and Hutter 2021, "TrivialAugment", table 1 (wide).
    """
    operation = OPERATIONS[int(rng.integers(len(OPERATIONS)))]
    strength = float(rng.integers(31)) / 30
    signed = strength if rng.random() < 0.5 else -strength
    picture = PillowImage.fromarray(np.ascontiguousarray(image))
    return np.asarray(operation(picture, signed))


def _affine(picture: PillowImage.Image, coefficients: tuple[float, ...]) -> PillowImage.Image:
    return picture.transform(
        picture.size, PillowImage.Transform.AFFINE, coefficients, resample=BILINEAR
    )


def _shear_x(picture: PillowImage.Image, strength: float) -> PillowImage.Image:
    slope = 0.99 * strength
    return _affine(picture, (1, slope, -slope * picture.height / 2, 0, 1, 0))


def _shear_y(picture: PillowImage.Image, strength: float) -> PillowImage.Image:
    slope = 0.99 * strength
    return _affine(picture, (1, 0, 0, slope, 1, -slope * picture.width / 2))


def _translate_x(picture: PillowImage.Image, strength: float) -> PillowImage.Image:
    # 32 of 224 pixels, as in the paper, at every size.
    return _affine(picture, (1, 0, strength * picture.width / 7, 0, 1, 0))


def _translate_y(picture: PillowImage.Image, strength: float) -> PillowImage.Image:
    return _affine(picture, (1, 0, 0, 0, 1, strength * picture.height / 7))


def _rotate(picture: PillowImage.Image, strength: float) -> PillowImage.Image:
    return picture.rotate(135 * strength, BILINEAR)


def _brightness(picture: PillowImage.Image, strength: float) -> PillowImage.Image:
    return ImageEnhance.Brightness(picture).enhance(1 + 0.99 * strength)


def _contrast(picture: PillowImage.Image, strength: float) -> PillowImage.Image:
    return ImageEnhance.Contrast(picture).enhance(1 + 0.99 * strength)


def _saturation(picture: PillowImage.Image, strength: float) -> PillowImage.Image:
    return ImageEnhance.Color(picture).enhance(1 + 0.99 * strength)


def _sharpness(picture: PillowImage.Image, strength: float) -> PillowImage.Image:
    return ImageEnhance.Sharpness(picture).enhance(1 + 0.99 * strength)


def _posterize(picture: PillowImage.Image, strength: float) -> PillowImage.Image:
    return ImageOps.posterize(picture, 8 - round(6 * abs(strength)))


def _solarize(picture: PillowImage.Image, strength: float) -> PillowImage.Image:
    return ImageOps.solarize(picture, round(255 * (1 - abs(strength))))


def _autocontrast(picture: PillowImage.Image, _: float) -> PillowImage.Image:
    return ImageOps.autocontrast(picture)


def _equalize(picture: PillowImage.Image, _: float) -> PillowImage.Image:
    return ImageOps.equalize(picture)


def _identity(picture: PillowImage.Image, _: float) -> PillowImage.Image:
    return picture


OPERATIONS: tuple[Operation, ...] = (
    _identity,
    _shear_x,
    _shear_y,
    _translate_x,
    _translate_y,
    _rotate,
    _brightness,
    _saturation,
    _contrast,
    _sharpness,
    _posterize,
    _solarize,
    _autocontrast,
    _equalize,
)
