from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from clary.formats.preprocessing import Preprocessing
from clary.vision.geometry import EvaluationTransform
from clary.vision.transforms import (
    TrainingTransform,
    augmentation_rng,
    random_crop,
    to_network_input,
    transform_for_view,
    view_of_epoch,
)

POLICIES = ("none", "flip", "standard", "strong", "trivial")
sides = st.integers(8, 420)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([height, width, seed])
    small = rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(small.repeat(4, 0).repeat(4, 1)[:height, :width])


@given(width=sides, height=sides, seed=st.integers(0, 1000))
def test_random_crops_lie_within_the_picture(width, height, seed):
    left, top, w, h = random_crop(width, height, (0.35, 1.0), np.random.default_rng(seed))
    assert w >= 1 and h >= 1 and left >= 0 and top >= 0
    assert left + w <= width and top + h <= height


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("shape", [(8, 8), (40, 300), (300, 40), (97, 131)])
def test_every_policy_gives_the_input_size_and_repeats_itself(policy, shape):
    transform = TrainingTransform(Preprocessing(image_size=32, resize_size=36), policy)
    image = noise(*shape)
    before = image.copy()
    for index in range(40):
        views = [transform(image, augmentation_rng(3, 1, index)) for _ in range(2)]
        assert views[0].shape == (32, 32, 3) and views[0].dtype == np.uint8
        assert np.array_equal(views[0], views[1])
    assert np.array_equal(image, before)


@pytest.mark.parametrize("policy", POLICIES[1:])
def test_random_policies_differ_between_turns(policy):
    transform = TrainingTransform(Preprocessing(image_size=32, resize_size=36), policy)
    image = noise(60, 60)
    views = {transform(image, augmentation_rng(0, turn, 0)).tobytes() for turn in range(12)}
    assert len(views) >= 2
    with pytest.raises(ValueError, match="random generator"):
        transform(image)


def test_flip_shows_the_evaluation_picture_or_its_mirror():
    preprocessing = Preprocessing(image_size=32, resize_size=36)
    image = noise(60, 70)
    straight = EvaluationTransform(preprocessing)(image)
    transform = TrainingTransform(preprocessing, "flip")
    seen = {transform(image, augmentation_rng(0, turn, 0)).tobytes() for turn in range(20)}
    assert seen == {straight.tobytes(), straight[:, ::-1].tobytes()}


def test_crops_differ_little_from_pillows():
    from clary.vision.transforms import resize_crop

    crop = noise(120, 150)[10:100, 20:140]
    expected = PillowImage.fromarray(crop).resize((64, 64), PillowImage.Resampling.BILINEAR)
    difference = np.abs(resize_crop(crop, 64, "bilinear").astype(int) - np.asarray(expected))
    assert difference.max() <= 2


def test_views_take_turns_and_the_first_is_the_evaluation_picture():
    assert [view_of_epoch(epoch, 3) for epoch in range(1, 6)] == [0, 1, 2, 0, 1]
    preprocessing = Preprocessing(image_size=32, resize_size=36)
    image = noise(60, 70)
    first = transform_for_view(preprocessing, "strong", 0)(image)
    assert np.array_equal(first, EvaluationTransform(preprocessing)(image))
    second = transform_for_view(preprocessing, "strong", 1)(image, augmentation_rng(0, 1, 0))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_normalisation_equals_torchvisions(dtype, channels_last):
    from torchvision.transforms.v2 import functional as F

    preprocessing = Preprocessing(image_size=16, resize_size=16)
    images = torch.randint(0, 256, (5, 16, 16, 3), dtype=torch.uint8)
    result = to_network_input(images, preprocessing, dtype=dtype, channels_last=channels_last)
    expected = F.normalize(
        images.permute(0, 3, 1, 2).float() / 255, preprocessing.mean, preprocessing.std
    )
    assert result.shape == (5, 3, 16, 16) and result.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    assert torch.allclose(result.float(), expected, atol=tolerance)
    memory = torch.channels_last if channels_last else torch.contiguous_format
    assert result.is_contiguous(memory_format=memory)
