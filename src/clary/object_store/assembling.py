"""Where the bytes of parts go, so that completing an upload need not copy them.

The first part sets a stride; part n is written at (n - 1) strides of one common file, which
already is the object when all parts are of that size but the last, as every client makes them.
A part that does not fit there, or comes a second time, gets a file of its own, and then the
object is put together by copying.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from clary.formats.files import storage_errors
from clary.object_store.index import PartRow

COMMON_FILE = "parts"
_COPY_BYTES = 1 << 26
_BLOCK_BYTES = 1 << 20
# What old kernels, some file systems, and files on two of them answer.
_NOT_IN_KERNEL = {errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL}


@dataclass
class _Layout:
    """Of one upload's common file: who wrote or writes where."""

    stride: int
    taken: set[int] = field(default_factory=set)
    writing: int = 0
    sealed: bool = False

    def admits(self, number: int, size: int) -> bool:
        """Whether a part may be written in the common file."""
        if self.stride == 0:
            self.stride = size
        return not self.sealed and number not in self.taken and size <= self.stride


@dataclass
class Slot:
    """A place for one part; the file's name is relative to the upload's folder."""

    file: str
    offset: int


class Layouts:
    """Hands out places for parts. Any thread may call.

    It forgets with the process: the parts of an upload that was begun before get files of their
    own.
    """

    def __init__(self) -> None:
        self._layouts: dict[str, _Layout] = {}
        self._lock = threading.Lock()
        self._numbers = 0

    def begin(self, upload: str) -> None:
        """A new upload, without any part."""
        with self._lock:
            self._layouts[upload] = _Layout(stride=0)

    def forget(self, upload: str) -> None:
        """The upload is over."""
        with self._lock:
            self._layouts.pop(upload, None)

    @contextmanager
    def slot(self, upload: str, number: int, size: int | None) -> Iterator[Slot]:
        """A place for a part of a size; free again when the block raises."""
        with self._lock:
            layout = self._layouts.get(upload)
            if layout is None or not size or not layout.admits(number, size):
                self._numbers += 1
                own = Slot(f"{number}-{os.getpid()}-{self._numbers}", 0)
                layout = None
            else:
                layout.taken.add(number)
                layout.writing += 1
        if layout is None:
            yield own
            return
        try:
            yield Slot(COMMON_FILE, (number - 1) * layout.stride)
        except BaseException:
            with self._lock:
                layout.taken.discard(number)
            raise
        finally:
            with self._lock:
                layout.writing -= 1

    def seal(self, upload: str) -> bool:
        """Hand out no more places in the common file; whether nobody is writing in it."""
        with self._lock:
            layout = self._layouts.get(upload)
            if layout is None:
                return True
            layout.sealed = True
            return layout.writing == 0


def is_whole(parts: Sequence[PartRow]) -> bool:
    """Whether parts lie one behind the other from the beginning of the common file."""
    end = 0
    for part in parts:
        if part.file != COMMON_FILE or part.offset != end:
            return False
        end += part.size
    return True


def copy_range(source: int, offset: int, size: int, target: int, path: Path) -> None:
    """Append a range of one file to another; in the kernel, shared blocks where that can be.

    Raises:
        StorageError: the disk is full.
        EOFError: the source is shorter than that.
    """
    in_kernel = hasattr(os, "copy_file_range")
    while size:
        with storage_errors(path):
            if in_kernel:
                try:
                    copied = os.copy_file_range(source, target, min(size, _COPY_BYTES), offset)
                except OSError as error:
                    if error.errno not in _NOT_IN_KERNEL:
                        raise
                    in_kernel = False
                    continue
            else:
                copied = os.write(target, os.pread(source, min(size, _BLOCK_BYTES), offset))
        if not copied:
            raise EOFError(f"{size} bytes are missing")
        offset += copied
        size -= copied
