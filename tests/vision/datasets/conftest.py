"""Builders for data sets of tiny pictures: layouts matter here, pixels do not."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clary.settings import Settings
from clary.vision.datasets import PictureDataset, open_dataset

Opener = Callable[..., PictureDataset]
Files = Callable[..., Path]


def picture_bytes(value: int = 0) -> bytes:
    """A 4×4 PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (value % 256, 90, 30)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A function that writes a small picture under each name, below a folder, and returns it."""

    def write(names: Iterable[str], folder: str = "data") -> Path:
        root = tmp_path / folder
        root.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(names):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture_bytes(number))
        return root

    return write


@pytest.fixture
def opened(settings: Settings) -> Opener:
    """`open_dataset` with the settings of this test."""

    def call(location: object, **options: object) -> PictureDataset:
        return open_dataset(location, settings=settings, **options)  # type: ignore[arg-type]

    return call


@pytest.fixture
def classes(files: Files) -> Files:
    """A function that writes `count` pictures into a folder per letter of `names`."""

    def write(count: int = 4, names: str = "ab", folder: str = "data") -> Path:
        return files([f"{name}/{number}.png" for name in names for number in range(count)], folder)

    return write


@pytest.fixture
def cifar10(tmp_path: Path) -> Callable[..., tuple[Path, np.ndarray]]:
    """A function that writes small batches in CIFAR-10's form: the folder and all pictures."""

    def write(rows: int = 6, protocol: int = 2) -> tuple[Path, np.ndarray]:
        folder = tmp_path / "cifar-10-batches-py"
        folder.mkdir()
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (3 * rows, 32, 32, 3), dtype=np.uint8)
        for number, name in enumerate(["data_batch_1", "data_batch_2", "test_batch"]):
            part = images[number * rows : (number + 1) * rows]
            batch = {
                b"batch_label": name.encode(),
                b"labels": [row % 2 for row in range(rows)],
                b"data": part.transpose(0, 3, 1, 2).reshape(rows, -1),
                b"filenames": [f"{name}_{row}.png".encode() for row in range(rows)],
            }
            (folder / name).write_bytes(pickle.dumps(batch, protocol=protocol))
        meta = {b"label_names": [b"zebra", b"ant"], b"num_vis": 3072}
        (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=protocol))
        return folder, images

    return write
