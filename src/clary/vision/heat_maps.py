"""Drawing a heat map over a picture: numpy and Pillow only.

The colours grow in lightness with the heat, so that their order survives grey print and every
kind of colour vision. They are made in OKLab (Björn Ottosson, "A perceptual color space for image
processing", 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

Heat = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Box:
    """Part of a picture, in pixels: columns `left`…`right`, rows `top`…`bottom`, ends excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def rows(self) -> slice:
        """The rows as a slice."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """The columns as a slice."""
        return slice(self.left, self.right)


@lru_cache(maxsize=1)
def heat_colours() -> Pixels:
    """The 256 colours from cold (dark violet) to hot (pale yellow), shape (256, 3)."""
    heat = np.linspace(0, 1, 256)
    lightness = 0.28 + 0.66 * heat
    hue = np.deg2rad(300 + 165 * heat)
    chroma = 0.10 + 0.11 * np.sin(np.pi * heat**0.85)
    # From OKLab to linear sRGB: the two matrices of the publication.
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = np.stack(
        (
            4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
        ),
        axis=1,
    ).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray((encoded * 255).round().astype(np.uint8))


def placed(heat: npt.NDArray[np.floating], height: int, width: int, seen: Box) -> Heat:
    """Stretch a small map (h, w) over the box `seen` of a picture; 0 outside of it.

    Returns:
        Heat of shape (height, width), 0…1.
    """
    size = (seen.right - seen.left, seen.bottom - seen.top)
    small = Image.fromarray(np.asarray(heat, dtype=np.float32))
    result = np.zeros((height, width), dtype=np.float32)
    stretched = np.asarray(small.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    result[seen.rows, seen.columns] = stretched.clip(0, 1)
    return result


def overlay(picture: Pixels, heat: Heat, seen: Box) -> Pixels:
    """Lay heat over a picture; what the network did not see is darkened.

    Args:
        picture: shape (H, W, 3).
        heat: shape (H, W), 0…1.
        seen: the part that the network saw.

    Returns:
        A picture of the same shape.
    """
    colours = heat_colours()[(heat.clip(0, 1) * 255).round().astype(np.uint8)].astype(np.float32)
    photo = picture.astype(np.float32)
    # Grey beneath, so that a red flower is not taken for heat.
    grey = photo @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    strength = (0.22 + 0.48 * heat.clip(0, 1))[..., None]
    mixed = (0.35 * photo + 0.65 * grey[..., None]) * (1 - strength) + colours * strength
    result = 0.3 * (0.35 * photo + 0.65 * grey[..., None])
    result[seen.rows, seen.columns] = mixed[seen.rows, seen.columns]
    return np.asarray(result.clip(0, 255).round().astype(np.uint8))
