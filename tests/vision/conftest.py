"""Builders of splits: pictures in memory, encoded as files are or decoded as arrays are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
import simplejpeg

from clary.vision.datasets.dataset import Split

Image = np.ndarray


class MemorySource:
    """Pictures held in memory; JPEG bytes when `encoded`, arrays otherwise. Counts its reads."""

    def __init__(self, images: list[Image], *, encoded: bool) -> None:
        self.pictures: list[bytes | Image] = [
            simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=95) if encoded else image
            for image in images
        ]
        self.reads = 0

    def __len__(self) -> int:
        return len(self.pictures)

    def name(self, index: int) -> str:
        return f"memory/{index}.jpg"

    def read(self, index: int) -> bytes | Image:
        self.reads += 1
        return self.pictures[index]

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for picture in self.pictures:
            digest.update(picture if isinstance(picture, bytes) else picture.tobytes())
        return digest.hexdigest()


SplitBuilder = Callable[..., Split]


@pytest.fixture
def make_split() -> SplitBuilder:
    """A function that builds a split of made-up pictures of differing sizes."""

    def build(count: int = 23, *, classes: int = 3, side: int = 48, encoded: bool = True) -> Split:
        rng = np.random.default_rng(count)
        images = []
        for _ in range(count):
            height, width = side + int(rng.integers(0, 24)), side + int(rng.integers(0, 24))
            coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            rows, columns = np.arange(height) * 6 // height, np.arange(width) * 6 // width
            images.append(np.ascontiguousarray(coarse[rows][:, columns]))
        labels = np.arange(count, dtype=np.int64) % classes
        return Split(MemorySource(images, encoded=encoded), labels)

    return build
