from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from clary.formats.preprocessing import Preprocessing
from clary.vision.geometry import RESAMPLING, EvaluationTransform, evaluation_box, resized_size

sides = st.integers(8, 420)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([height, width, seed])
    small = rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(small.repeat(4, 0).repeat(4, 1)[:height, :width])


def two_steps(image: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    from torchvision.transforms.v2 import functional as F

    width, height = image.shape[1], image.shape[0]
    short = preprocessing.resize_size
    size = (
        (short, int(short * height / width))
        if width <= height
        else (int(short * width / height), short)
    )
    resized = PillowImage.fromarray(image).resize(size, RESAMPLING[preprocessing.interpolation])
    return np.asarray(F.center_crop(resized, [preprocessing.image_size] * 2))


@settings(max_examples=60, deadline=None)
@given(
    height=sides,
    width=sides,
    size=st.integers(8, 96),
    margin=st.integers(0, 40),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
)
def test_one_call_equals_resize_then_centre_crop(height, width, size, margin, interpolation):
    preprocessing = Preprocessing(
        image_size=size, resize_size=size + margin, interpolation=interpolation
    )
    image = noise(height, width)
    once = EvaluationTransform(preprocessing)(image)
    assert once.shape == (size, size, 3)
    difference = np.abs(once.astype(int) - two_steps(image, preprocessing).astype(int))
    # Pillow chooses which axis comes first by the output's size, and each of the two passes rounds
    # by half a level at most. Bicubic overshoot that is clipped between the passes makes a few
    # levels of difference at hard edges, bilinear has none.
    most, mean = (2, 0.5) if interpolation == "bilinear" else (16, 1.5)
    assert difference.max() <= most
    assert difference.mean() <= mean


def test_a_picture_of_the_right_size_is_not_resampled():
    image = noise(64, 80)
    transform = EvaluationTransform(Preprocessing(image_size=64, resize_size=64))
    assert np.array_equal(transform(image), image[:, 8:72])


@given(width=st.integers(1, 5000), height=st.integers(1, 5000), short=st.integers(8, 600))
def test_the_short_side_is_exact(width, height, short):
    assert min(resized_size(width, height, short)) == short


@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    size=st.integers(8, 300),
    margin=st.integers(0, 60),
)
def test_the_part_that_is_shown_lies_within_the_picture(width, height, size, margin):
    preprocessing = Preprocessing(image_size=size, resize_size=size + margin)
    left, top, right, bottom = evaluation_box(width, height, preprocessing)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_every_view_of_the_evaluation_transform_is_the_same():
    transform = EvaluationTransform(Preprocessing(image_size=32, resize_size=36))
    assert transform.for_view(0) is transform.for_view(7) is transform
