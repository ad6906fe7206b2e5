"""A few images of CIFAR-10 in its pickled form: real ones where there are any, made ones else."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import make_picture

NAME = "cifar-10-batches-py"
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))


def few_images(real: Path | None, folder: Path, *, train: int, test: int) -> Path:
    """Write all six batches and their `batches.meta`, with this many images; returns the folder."""
    target = folder / NAME
    target.mkdir(parents=True)
    counts = {**dict.fromkeys(BATCHES, train // len(BATCHES)), "test_batch": test}
    for number, (name, count) in enumerate(counts.items()):
        batch = made_batch(number, count) if real is None else first_of(real / NAME / name, count)
        write(target / name, {b"batch_label": name.encode(), **batch})
    names = [name.encode() for name in CLASSES]
    meta = {b"num_cases_per_batch": train // 5, b"label_names": names, b"num_vis": 3072}
    write(target / "batches.meta", meta)
    return target


def first_of(file: Path, count: int) -> dict[bytes, Any]:
    """The first rows of a real batch, whose order is random."""
    with file.open("rb") as stream:
        batch = pickle.load(stream, encoding="bytes")
    return {key: batch[key][:count] for key in (b"data", b"labels", b"filenames")}


def made_batch(number: int, count: int) -> dict[bytes, Any]:
    """Rows whose colours and stripes tell most classes apart."""
    labels = [int(label) for label in np.random.default_rng(number).integers(0, 10, count)]
    pictures = [
        np.asarray(make_picture(label, number * 10_000 + place, 32)).transpose(2, 0, 1)
        for place, label in enumerate(labels)
    ]
    return {
        b"data": np.stack(pictures).reshape(count, 3072),
        b"labels": labels,
        b"filenames": [f"made_{place:05}.png".encode() for place in range(count)],
    }


def write(file: Path, content: dict[bytes, Any]) -> None:
    """Pickle it, as the original's files are."""
    with file.open("wb") as stream:
        pickle.dump(content, stream, protocol=3)
