"""Objects as they go out and come in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from clary.object_store.receiving import BLOCK_BYTES


class FileBody:
    """A range of an open file as a ResponseBody; closes the file. One request's."""

    def __init__(self, file: BinaryIO, begin: int, length: int) -> None:
        self._file = file
        self._begin = begin
        self._length = length

    @property
    def length(self) -> int:
        """Bytes that `blocks` will give in all."""
        return self._length

    def blocks(self) -> Iterator[bytes]:
        """The range, block by block.

        Raises:
            EOFError: the file was cut while it was read, which only its owner can do by hand.
        """
        at, end = self._begin, self._begin + self._length
        while at < end:
            block = os.pread(self._file.fileno(), min(BLOCK_BYTES, end - at), at)
            if not block:
                raise EOFError(f"the file ended at byte {at} of {end}")
            at += len(block)
            yield block

    def close(self) -> None:
        """Close the file."""
        self._file.close()
