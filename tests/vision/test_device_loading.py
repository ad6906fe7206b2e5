"""The loader that decodes on a device shows what the one on the host shows.

A CPU stands in for the device: the same code with another decoder behind it.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from clary.errors import UnreadablePicture
from clary.formats.preprocessing import Preprocessing
from clary.vision.datasets import open_dataset
from clary.vision.decoding import decode_picture
from clary.vision.device_loading import DeviceBatchLoader, _upright
from clary.vision.loaders import BatchLoader
from clary.vision.transforms import TrainingTransform

SMALL = Preprocessing(image_size=32, resize_size=36)
WORDS = {"batch_size": 8, "seed": 3, "shuffle": True, "workers": 2}


@pytest.fixture
def split(picture_folder, settings):
    folder = picture_folder(splits={"train": 9, "valid": 2}, size=80)
    Image.open(folder / "train/class_0/0001.jpg").save(folder / "train/class_0/a.png")
    return open_dataset(folder, settings=settings).train


def test_same_order_crops_and_mirroring_as_on_the_host(split):
    device = DeviceBatchLoader(split, SMALL, torch.device("cpu"), **WORDS)
    host = BatchLoader(split, TrainingTransform(SMALL, "standard"), **WORDS)
    assert len(device) == len(host)
    for ours, theirs in zip(device.batches(2, start=1), host.batches(2, start=1), strict=True):
        assert np.array_equal(ours.indices, theirs.indices)
        assert torch.equal(ours.labels, theirs.labels)
        assert ours.images.shape == theirs.images.shape
        difference = (ours.images.int() - theirs.images.int()).abs()
        assert difference.float().mean() < 1.0
        assert difference.max() <= 12


def test_view_zero_is_the_evaluation_transform(split):
    device = DeviceBatchLoader(split, SMALL, torch.device("cpu"), **WORDS)
    host = BatchLoader(split, TrainingTransform(SMALL, "standard"), **WORDS)
    for ours, theirs in zip(device.batches(1, view=0), host.batches(1, view=0), strict=True):
        assert torch.equal(ours.images, theirs.images)


def test_truncated_file_is_named(split):
    path = split.source.path(4)
    path.write_bytes(path.read_bytes()[:-200])
    loader = DeviceBatchLoader(split, SMALL, torch.device("cpu"), **WORDS)
    with pytest.raises(UnreadablePicture, match=path.name):
        list(loader.batches(1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_the_host(orientation):
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 255, (16, 24, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    expected = decode_picture(file.getvalue(), "made.png")
    stored = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    assert np.array_equal(_upright(stored, orientation).permute(1, 2, 0).numpy(), expected)
