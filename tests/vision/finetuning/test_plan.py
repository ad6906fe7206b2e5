"""What `auto` means, and which options do not go together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clary.errors import UsageError
from clary.formats.training_options import TrainingOptions
from clary.vision.datasets import ArraySource, PictureDataset, Split
from clary.vision.finetuning.plan import make_plan
from clary.vision.hardware import Hardware

CPU = Hardware(torch.device("cpu"), bf16=False, channels_last=True, name="CPU")
GPU = Hardware(torch.device("cuda"), bf16=True, channels_last=True, name="GPU")


def dataset(*counts, valid=4):
    def split(numbers):
        labels = np.repeat(np.arange(len(numbers)), numbers).astype(np.int64)
        return Split(ArraySource(np.zeros((len(labels), 4, 4, 3), np.uint8)), labels)

    splits = {"train": split(counts)}
    if valid:
        splits["valid"] = split([valid] * len(counts))
    classes = tuple(f"class_{number}" for number in range(len(counts)))
    return PictureDataset("made", "arrays", classes, splits)


def plan(hardware=CPU, counts=(40, 40), world_size=1, **options):
    return make_plan(TrainingOptions(**options), dataset(*counts), hardware, world_size)


def test_auto_freezes_pretrained_backbones_on_a_cpu_and_says_so():
    made = plan()
    assert made.trainable_layers == 0
    assert made.uses_features
    assert any("--trainable-layers all" in note for note in made.notes)
    assert plan(GPU).trainable_layers == "all"
    assert plan(weights="none").trainable_layers == "all"


def test_imbalance_weighs_the_loss_so_that_classes_count_alike():
    made = plan(counts=(30, 10))
    assert made.loss_weights == pytest.approx((40 / 60, 40 / 20))
    assert 30 * made.loss_weights[0] == pytest.approx(10 * made.loss_weights[1])
    assert any("3.0 times" in note for note in made.notes)
    assert plan(counts=(14, 10)).loss_weights is None
    assert plan(counts=(30, 10), class_balance="off").loss_weights is None


def test_sampler_draws_classes_alike():
    made = plan(counts=(30, 10), class_balance="sampler")
    labels = dataset(30, 10).train.labels
    sums = [made.picture_weights[labels == label].sum() for label in (0, 1)]
    assert sums[0] == pytest.approx(sums[1])


def test_batch_is_no_larger_than_a_process_has_pictures():
    assert plan(counts=(5, 5), batch_size=32).options.batch_size == 10
    assert plan(counts=(5, 5), batch_size=32, world_size=2).options.batch_size == 5
    assert plan(batch_size=32).options.batch_size == 32


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"weights": "none", "trainable_layers": 0}, "random weights"),
        ({"trainable_layers": 0, "mixup": 0.2}, "mixup and cutmix blend pictures"),
        ({"trainable_layers": 0, "cutmix": 1.0}, "--no-feature-cache"),
    ],
)
def test_what_does_not_go_together(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        plan(**options)


def test_no_validation_pictures_is_refused():
    with pytest.raises(UsageError, match=r"--valid-fraction is 0\.0: hold out some"):
        make_plan(TrainingOptions(valid_fraction=0.0), dataset(9, 9, valid=0), CPU)
