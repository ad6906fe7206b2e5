"""Reads files of Linux's /proc, many times a second."""

from __future__ import annotations

import os

_BLOCK_BYTES = 1 << 16


def content_of(path: str) -> bytes:
    """All of a small file, without what Python's own files do around a read.

    Raises:
        OSError: it cannot be read; of a process, most often because the process has ended.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(handle, _BLOCK_BYTES)
        # The kernel gives a page or so at a time, whatever it is asked for.
        while block := os.read(handle, _BLOCK_BYTES):
            content += block
        return content
    finally:
        os.close(handle)
