"""What a data set is once its layout is understood: sources of pictures, labels, ONE class map.

Nothing here decodes a picture or imports torch. A data set of 100,000 files costs their names
and labels, about 20 MB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Image = npt.NDArray[np.uint8]

SPLIT_NAMES = ("train", "valid", "test")

# Called as progress(what, done, total); the total is None where nobody knows it.
Progress = Callable[[str, int, int | None], None]


class PictureSource(Protocol):
    """Pictures by position. Reading is thread-safe; a source owns no open file."""

    def __len__(self) -> int:
        """How many pictures there are."""
        ...

    def name(self, index: int) -> str:
        """What a person calls this picture: a path where there is one."""
        ...

    def read(self, index: int) -> bytes | Image:
        """The encoded file, or the decoded picture as uint8 of shape (height, width, 3).

        Raises:
            DataError: the file is gone or cannot be read.
        """
        ...

    def fingerprint(self) -> str:
        """A hex digest that changes when any picture does: the key under which caches are kept."""
        ...


@dataclass(frozen=True)
class Split:
    """Labelled pictures: `labels[i]` is the class of `source`'s picture `i`.

    `groups` holds, when known, an identifier per picture (a patient, a video): pictures of a
    group never come apart when a split is made.
    """

    source: PictureSource
    labels: Labels
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def fingerprint(self) -> str:
        """A hex digest over the pictures and their labels."""
        digest = hashlib.sha256(self.source.fingerprint().encode())
        digest.update(np.ascontiguousarray(self.labels).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was found beside the pictures and left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class PictureDataset:
    """Splits by name (`train`, `valid`, `test`) over one class map.

    `classes[k]` names label `k`; it is fixed from the training split. `unknown_classes` counts
    pictures, by split and class, whose class the training split does not have: they are in no
    split. `made_splits` names the splits that were cut from `train` here rather than found.
    """

    name: str
    layout: str
    classes: tuple[str, ...]
    splits: Mapping[str, Split]
    location: Path | None = None
    skipped: tuple[Skipped, ...] = ()
    empty_classes: tuple[str, ...] = ()
    unknown_classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    made_splits: tuple[str, ...] = ()

    @property
    def train(self) -> Split:
        """The split that is learned from."""
        return self.splits["train"]

    def class_counts(self, split: str) -> Labels:
        """How many pictures each class has in a split, shape (classes,)."""
        return np.bincount(self.splits[split].labels, minlength=len(self.classes)).astype(np.int64)


class Subset:
    """Some pictures of another source, in the order given."""

    def __init__(self, source: PictureSource, indices: Sequence[int] | Labels) -> None:
        self._source = source
        self._indices = np.asarray(indices, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._indices)

    def name(self, index: int) -> str:
        """The name in the source behind."""
        return self._source.name(int(self._indices[index]))

    def read(self, index: int) -> bytes | Image:
        """The picture from the source behind.

        Raises:
            DataError: the file is gone or cannot be read.
        """
        return self._source.read(int(self._indices[index]))

    def fingerprint(self) -> str:
        """A digest over the source behind and the choice."""
        digest = hashlib.sha256(self._source.fingerprint().encode())
        digest.update(self._indices.tobytes())
        return digest.hexdigest()
