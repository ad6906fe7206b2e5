"""What a person points `predict` at: files, folders, addresses, and what comes through a pipe."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from clary.errors import DataError, UnreadablePicture

URL_SECONDS = 20.0
URL_BYTES = 64 << 20
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_PICTURE_STARTS = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_HEAD_BYTES = 16


class Found(Protocol):
    """Makes a picture of a name and its bytes, or of why there are none."""

    def __call__(self, name: str, content: bytes | DataError) -> object:
        """Keep name and content together."""
        ...


def find_pictures(inputs: Sequence[str], stdin: BinaryIO, found: Found) -> Iterator[object]:
    """Pictures in the order given; folders are walked as they are read, sorted by name.

    Args:
        inputs: paths, `http(s)://` addresses, or `-` for stdin: one picture's bytes, or text
            with a path or an address a line.
        stdin: read when an input is `-`.
        found: makes what is yielded for a picture that is not a file.

    Yields:
        Paths as text, and what `found` makes of pictures that came another way or not at all.
    """
    for given in inputs:
        if given == "-":
            yield from _from_stdin(stdin, found)
        else:
            yield from _from_name(given, found)


def _from_name(given: str, found: Found) -> Iterator[object]:
    if given.startswith(("http://", "https://")):
        yield found(given, _fetched(given))
    elif Path(given).is_dir():
        yield from _walked(given, found)
    else:
        yield given


def _walked(folder: str, found: Found) -> Iterator[object]:
    empty = True
    for root, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                empty = False
                yield str(Path(root) / name)
    if empty:
        endings = ", ".join(sorted(SUFFIXES))
        yield found(folder, DataError(f"{folder} holds no pictures ({endings})"))


def _from_stdin(stdin: BinaryIO, found: Found) -> Iterator[object]:
    start = stdin.read(_HEAD_BYTES)
    # Every one of these formats has a byte under 32 so early; a path such as BMW/1.jpg has none.
    if start.startswith(_PICTURE_STARTS) and min(start) < 10:
        content = start + stdin.read(URL_BYTES)
        yield found("stdin", content)
        return
    empty = True
    lines = (start + stdin.readline()).splitlines()
    while lines:
        for line in lines:
            try:
                name = line.decode().strip()
            except UnicodeDecodeError:
                yield found("stdin", UnreadablePicture("stdin", "neither a picture nor text"))
                return
            if name:
                empty = False
                yield from _from_name(name, found)
        following = stdin.readline()
        lines = [following] if following else []
    if empty:
        yield found("stdin", DataError("stdin is empty: pipe a picture or a list of paths into it"))


def _fetched(url: str) -> bytes | DataError:
    try:
        with urllib.request.urlopen(url, timeout=URL_SECONDS) as answer:
            content: bytes = answer.read(URL_BYTES + 1)
    except (OSError, urllib.error.URLError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return DataError(f"{url} cannot be fetched ({reason}): check the address")
    if len(content) > URL_BYTES:
        return DataError(f"{url} is over {URL_BYTES >> 20} MB: fetch it to a file first")
    return content
