from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.vision.mixing import mix_batch


def constant_pictures(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Picture `i` is `i` everywhere, and is of class `i`."""
    images = torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, 12, 10)
    return images.contiguous(), torch.eye(count)


def test_without_alphas_nothing_changes():
    images, labels = constant_pictures(4)
    mixed, targets = mix_batch(images, labels, np.random.default_rng(0), 0.0, 0.0)
    assert mixed is images and targets is labels


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    mixup=st.sampled_from([0.0, 0.2, 1.0]),
    cutmix=st.sampled_from([0.0, 1.0]),
)
def test_labels_follow_the_content(seed, mixup, cutmix):
    images, labels = constant_pictures(6)
    mixed, targets = mix_batch(images, labels, np.random.default_rng(seed), mixup, cutmix)
    # The mean of a mixed picture is the mean of its class numbers under its target.
    numbers = torch.arange(6, dtype=torch.float32)
    assert torch.allclose(mixed.mean(dim=(1, 2, 3)), targets @ numbers, atol=1e-4)
    assert torch.allclose(targets.sum(1), torch.ones(6), atol=1e-6)
    assert torch.equal(images, constant_pictures(6)[0])


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0)])
def test_the_same_generator_gives_the_same_batch(mixup, cutmix):
    images, labels = constant_pictures(6)
    first = mix_batch(images, labels, np.random.default_rng(5), mixup, cutmix)
    second = mix_batch(images, labels, np.random.default_rng(5), mixup, cutmix)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    kinds = [
        mix_batch(images, labels, np.random.default_rng(seed), mixup, cutmix)[0]
        for seed in range(8)
    ]
    # CutMix keeps whole pixels, mixup blends them.
    whole = [torch.equal(kind, kind.round()) for kind in kinds]
    assert all(whole) if cutmix else not any(whole)
