"""All pictures of all splits as one row of numbers, so that checks can compare across splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from clary.vision.datasets.dataset import SPLIT_NAMES, Image, Labels, PictureDataset, PictureSource
from clary.vision.datasets.sources import FileSource


class Catalogue:
    """Picture `i` of the catalogue belongs to split `split_names[splits[i]]` and class `labels[i]`.

    Splits stand in the order train, valid, test. Frozen once built; any thread may read.
    """

    def __init__(self, dataset: PictureDataset) -> None:
        self.dataset = dataset
        self.split_names = tuple(name for name in SPLIT_NAMES if name in dataset.splits)
        parts = [dataset.splits[name] for name in self.split_names]
        lengths = [len(part) for part in parts]
        self._sources = [part.source for part in parts]
        self._starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.labels: Labels = np.concatenate([np.zeros(0, np.int64), *(p.labels for p in parts)])
        self.splits: npt.NDArray[np.int8] = np.repeat(np.arange(len(parts)), lengths).astype(
            np.int8
        )

    def __len__(self) -> int:
        return int(self._starts[-1])

    def split_of(self, index: int) -> str:
        """The name of the split that a picture is in."""
        return self.split_names[int(self.splits[index])]

    def name(self, index: int) -> str:
        """A picture's name, relative to the data set's folder where it lies in there."""
        source, position = self._locate(index)
        if isinstance(source, FileSource):
            return source.relative_name(position)
        return source.name(position)

    def path(self, index: int) -> Path | None:
        """Where a picture's file lies; None when it is no file."""
        source, position = self._locate(index)
        return source.path(position) if isinstance(source, FileSource) else None

    def read(self, index: int) -> bytes | Image:
        """The encoded file or the decoded picture.

        Raises:
            DataError: the file is gone or cannot be read.
        """
        source, position = self._locate(index)
        return source.read(position)

    def read_bytes(self, index: int) -> bytes:
        """The encoded file, or the pixels of the decoded picture.

        Raises:
            DataError: the file is gone or cannot be read.
        """
        content = self.read(index)
        return content if isinstance(content, bytes) else content.tobytes()

    def _locate(self, index: int) -> tuple[PictureSource, int]:
        part = self.splits[index]
        return self._sources[part], int(index - self._starts[part])
