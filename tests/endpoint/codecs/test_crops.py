"""What is served sees the very pixels that training's evaluation sees."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clary.endpoint.codecs import Cropper
from clary.formats.preprocessing import Preprocessing
from clary.vision.decoding import decode_picture
from clary.vision.geometry import EvaluationTransform


def jpeg(
    width: int, height: int, *, mode: str = "RGB", orientation: int = 1, progressive: bool = False
) -> bytes:
    rng = np.random.default_rng([width, height])
    coarse = rng.integers(0, 256, (height // 5 + 1, width // 5 + 1, 3), dtype=np.uint8)
    pixels = coarse.repeat(5, 0).repeat(5, 1)[:height, :width]
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels)).convert(mode)
    picture.save(buffer, "JPEG", exif=exif, progressive=progressive)
    return buffer.getvalue()


def evaluated(body: bytes, preprocessing: Preprocessing) -> np.ndarray:
    transform = EvaluationTransform(preprocessing)
    return transform(decode_picture(body, "a picture", min_side=transform.min_side))


@settings(max_examples=80, deadline=None)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    size=st.integers(8, 64),
    margin=st.integers(0, 20),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
    orientation=st.integers(1, 8),
    mode=st.sampled_from(["RGB", "L", "CMYK"]),
)
def test_a_jpeg_is_cut_as_training_cuts_it(
    width, height, size, margin, interpolation, orientation, mode
):
    preprocessing = Preprocessing(
        image_size=size, resize_size=size + margin, interpolation=interpolation
    )
    body = jpeg(width, height, mode=mode, orientation=orientation)
    cut = Cropper(preprocessing)(body)
    assert cut.shape == (size, size, 3)
    assert np.array_equal(cut, evaluated(body, preprocessing))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("side", [64, 700, 1400])
def test_jpegs_that_come_smaller_and_those_that_are_not_resized(side, progressive):
    preprocessing = Preprocessing(image_size=64, resize_size=64)
    body = jpeg(side + 13, side, progressive=progressive)
    assert np.array_equal(Cropper(preprocessing)(body), evaluated(body, preprocessing))
