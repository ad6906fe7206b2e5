"""What converted networks answer to pictures of a data set, to compare them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from clary.errors import ParityError
from clary.vision.datasets import Split, Subset
from clary.vision.decoding import default_workers
from clary.vision.export.serving import Runner
from clary.vision.geometry import EvaluationTransform
from clary.vision.loaders import BatchLoader

_BATCH = 8

Labels = npt.NDArray[np.int64]


def some_pictures(split: Split, count: int) -> Split:
    """Up to `count` pictures, the same ones every time."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(split))[:count])
    return Split(Subset(split.source, chosen), split.labels[chosen])


def cut_pictures(split: Split, transform: EvaluationTransform) -> BatchLoader:
    """A split as a network sees it when it is served."""
    return BatchLoader(
        split, transform, batch_size=_BATCH, seed=0, shuffle=False, workers=default_workers()
    )


def likeliest(
    runs: Sequence[Runner], pictures: BatchLoader, *, seconds: float | None = None
) -> tuple[Labels, ...]:
    """The likeliest class of each picture by each network, and at last the labels.

    Args:
        runs: the networks.
        pictures: as they see them.
        seconds: after so many no further batch is begun; None for all pictures.

    Raises:
        ParityError: a network answers with numbers that are none.
        UnreadablePicture: a picture cannot be read.
    """
    begun = time.perf_counter()
    found: list[tuple[Labels, ...]] = []
    for batch in pictures.batches(1):
        answers = [run(batch.images.numpy()) for run in runs]
        # The largest of numbers that are none is the first.
        if not all(np.isfinite(answer).all() for answer in answers):
            raise ParityError("the network answers with numbers that are none (NaN)")
        found.append((*(answer.argmax(axis=1) for answer in answers), batch.labels.numpy()))
        if seconds is not None and time.perf_counter() - begun > seconds:
            break
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))
