"""Where pictures come from: files below a folder, or rows of one array."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clary.errors import DataError, UnreadablePicture
from clary.vision.datasets.dataset import Image, Labels, PictureSource, Subset

_HASHED_BYTES = 1 << 24


class FileSource:
    """Picture files, named relative to a folder (an absolute name stays what it is).

    Nothing is opened before it is read; sizes and times are asked for when the fingerprint is.
    """

    def __init__(self, root: Path, relative_names: Sequence[str]) -> None:
        self._root = root.absolute()
        self._names = tuple(relative_names)
        self._fingerprint: str | None = None

    def __len__(self) -> int:
        return len(self._names)

    @property
    def root(self) -> Path:
        """The folder that the names are relative to."""
        return self._root

    def relative_name(self, index: int) -> str:
        """The name as it was found: `ants/0013035.jpg`."""
        return self._names[index]

    def path(self, index: int) -> Path:
        """Where the file lies."""
        return self._root / self._names[index]

    def name(self, index: int) -> str:
        """The whole path of the file."""
        return str(self.path(index))

    def read(self, index: int) -> bytes:
        """The encoded file.

        Raises:
            UnreadablePicture: the file is gone, or may not be read.
        """
        path = self.path(index)
        try:
            return path.read_bytes()
        except OSError as error:
            raise UnreadablePicture(str(path), error.strerror or str(error)) from error

    def take(self, indices: Sequence[int] | Labels) -> FileSource:
        """Some of the files, in the order given."""
        return FileSource(self._root, [self._names[index] for index in indices])

    def fingerprint(self) -> str:
        """A digest over the names, sizes and times of change of all files; computed once.

        The folder's own place is no part of it, so that moved data keeps its caches.

        Raises:
            UnreadablePicture: a file is gone.
        """
        if self._fingerprint is None:
            facts = np.empty((len(self._names), 2), dtype=np.int64)
            root = str(self._root)
            for index, name in enumerate(self._names):
                try:
                    # Not through Path: 100,000 of them would cost half a second.
                    status = os.stat(os.path.join(root, name))  # noqa: PTH116, PTH118
                except OSError as error:
                    raise UnreadablePicture(
                        self.name(index), error.strerror or str(error)
                    ) from error
                facts[index] = status.st_size, status.st_mtime_ns
            digest = hashlib.sha256("\0".join(self._names).encode("utf-8", "surrogateescape"))
            digest.update(facts.tobytes())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint


class ArraySource:
    """Decoded pictures of one size, as rows of an array in memory or mapped from a file."""

    def __init__(
        self,
        images: npt.NDArray[Any],
        names: Sequence[str] | None = None,
        *,
        key: str | None = None,
        indices: Labels | None = None,
    ) -> None:
        """Check and keep the pictures; they are not copied.

        Args:
            images: uint8 of shape (pictures, height, width, 3), or grey without the last axis
                or with a last axis of 1.
            names: what to call each row; numbers when None.
            key: stands for the content in fingerprints; None hashes the content when first asked.
            indices: the rows that are the pictures, in order; None takes all.

        Raises:
            DataError: another type or shape, or another number of names.
        """
        if images.dtype != np.uint8:
            raise DataError(
                f"the pictures have dtype {images.dtype}, not uint8: "
                "scale them to 0…255 and convert them with .astype('uint8')"
            )
        if images.ndim == 4 and images.shape[1] in {1, 3} and images.shape[3] not in {1, 3}:
            raise DataError(
                f"the pictures have shape {images.shape}, channels first: "
                "bring them to (pictures, height, width, 3) with .transpose(0, 2, 3, 1)"
            )
        if images.ndim not in {3, 4} or (images.ndim == 4 and images.shape[3] not in {1, 3}):
            raise DataError(
                f"the pictures have shape {images.shape}: give (pictures, height, width, 3)"
            )
        if names is not None and len(names) != len(images):
            raise DataError(
                f"there are {len(names)} names for {len(images)} pictures: give as many"
            )
        self._images = images
        self._names = names
        self._key = key
        self._indices = indices

    def __len__(self) -> int:
        return len(self._images) if self._indices is None else len(self._indices)

    def _row(self, index: int) -> int:
        return index if self._indices is None else int(self._indices[index])

    def name(self, index: int) -> str:
        """The row's name, or its number."""
        row = self._row(index)
        return f"picture {row}" if self._names is None else self._names[row]

    def read(self, index: int) -> Image:
        """A copy of the picture, uint8 of shape (height, width, 3)."""
        picture = np.array(self._images[self._row(index)], dtype=np.uint8)
        if picture.ndim == 2:
            picture = picture[..., None]
        return picture if picture.shape[2] == 3 else np.repeat(picture, 3, axis=2)

    def take(self, indices: Sequence[int] | Labels) -> ArraySource:
        """Some of the pictures, in the order given; the array is shared."""
        chosen = np.asarray(indices, dtype=np.int64)
        rows = chosen if self._indices is None else self._indices[chosen]
        return ArraySource(self._images, self._names, key=self._content_key(), indices=rows)

    def _content_key(self) -> str:
        if self._key is None:
            digest = hashlib.sha256(repr(self._images.shape).encode())
            rows = max(1, _HASHED_BYTES // max(1, self._images[:1].nbytes))
            for start in range(0, len(self._images), rows):
                digest.update(np.ascontiguousarray(self._images[start : start + rows]).data)
            self._key = digest.hexdigest()
        return self._key

    def fingerprint(self) -> str:
        """A digest over the content, or its key, and the choice of rows."""
        digest = hashlib.sha256(self._content_key().encode())
        if self._indices is not None:
            digest.update(self._indices.tobytes())
        return digest.hexdigest()


def take(source: PictureSource, indices: Sequence[int] | Labels) -> PictureSource:
    """Some pictures of a source, in the order given, by the source's own means if it has any."""
    if isinstance(source, FileSource | ArraySource):
        return source.take(indices)
    return Subset(source, indices)
