from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clary.formats.preprocessing import Preprocessing
from clary.vision.export.graph import ResizeCrop
from clary.vision.geometry import EvaluationTransform

SIDES = st.integers(8, 300)


@given(
    height=SIDES,
    width=SIDES,
    image_size=st.integers(8, 96),
    border=st.integers(0, 40),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
)
@settings(max_examples=80, deadline=None)
def test_pixels_are_pillows(
    height: int,
    width: int,
    image_size: int,
    border: int,
    interpolation: Literal["bilinear", "bicubic"],
) -> None:
    assume(max(height, width) < 20 * min(height, width))
    preprocessing = Preprocessing(
        image_size=image_size, resize_size=image_size + border, interpolation=interpolation
    )
    rng = np.random.default_rng([height, width])
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = EvaluationTransform(preprocessing)(picture).astype(int)
    found = ResizeCrop(preprocessing)(torch.from_numpy(picture)[None])[0].permute(1, 2, 0).numpy()
    difference = np.abs(expected - found)
    # A coefficient in thousands lies so near a half that Pillow rounds it the other way.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    "size", [(375, 500), (500, 375), (500, 333), (240, 240), (301, 224), (31, 47)]
)
def test_photo_sizes_are_exact(
    size: tuple[int, int], interpolation: Literal["bilinear", "bicubic"]
) -> None:
    preprocessing = Preprocessing(interpolation=interpolation)
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = EvaluationTransform(preprocessing)(picture)
    found = ResizeCrop(preprocessing)(torch.from_numpy(picture)[None])[0].permute(1, 2, 0).numpy()
    assert np.array_equal(expected, found)
