"""What a person points `predict` at: files, folders, addresses, and what comes through a pipe."""

from __future__ import annotations

import http.client
import os
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from clary.errors import DataError, UnreadablePicture

URL_SECONDS = 20.0  # without a byte
URL_TOTAL_SECONDS = 120.0
URL_BYTES = 64 << 20
# What the files of a folder are sent as, by the ends of their names.
CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".jpe": "image/jpeg",
    ".jfif": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".dib": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}
# For bytes that begin like no picture: the server looks closer.
UNKNOWN_PICTURE = "application/x-image"
_STARTS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)
_CHUNK_BYTES = 1 << 20
# RFC 3986: what may stand in a path and a query as it is. "%" too: it begins what is quoted.
_URL_SAFE = "/%:@!$&'()*+,;=~-._?"
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


def content_type_of(content: bytes) -> str:
    """What a picture's first bytes say that it is; its name is never asked."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    known = (kind for start, kind in _STARTS if content.startswith(start))
    return next(known, UNKNOWN_PICTURE)


def _from_name(given: str, found: Found) -> Iterator[object]:
    if given.startswith(("http://", "https://")):
        yield found(given, _fetched(given))
    elif Path(given).is_dir():
        yield from _walked(given, found)
    else:
        yield given


def _walked(folder: str, found: Found) -> Iterator[object]:
    empty = True
    failed: list[OSError] = []
    for root, folders, files in os.walk(folder, onerror=failed.append, followlinks=False):
        empty = empty and not failed
        yield from _unreadable(failed, found)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix.lower() in CONTENT_TYPES and not name.startswith("."):
                empty = False
                yield str(Path(root) / name)
    empty = empty and not failed
    yield from _unreadable(failed, found)
    if empty:
        endings = ", ".join(sorted(CONTENT_TYPES))
        yield found(
            folder,
            DataError(f"{folder} holds no pictures: give one with files that end in {endings}"),
        )


def _unreadable(failed: list[OSError], found: Found) -> Iterator[object]:
    for error in failed:
        name = str(error.filename)
        yield found(name, DataError(f"the folder {name} cannot be read: {error.strerror or error}"))
    failed.clear()


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
        with urllib.request.urlopen(_quoted(url), timeout=URL_SECONDS) as answer:
            return _read(answer, url)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return DataError(f"{url} cannot be fetched ({reason}): check the address")


def _quoted(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    path, query = (urllib.parse.quote(part, safe=_URL_SAFE) for part in (parts.path, parts.query))
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, query, ""))


def _read(answer: http.client.HTTPResponse, url: str) -> bytes | DataError:
    # read() would wait for all bytes, however slowly they drip; read1() gives what is there.
    deadline = time.monotonic() + URL_TOTAL_SECONDS
    content = bytearray()
    while chunk := answer.read1(_CHUNK_BYTES):
        content += chunk
        if len(content) > URL_BYTES:
            return DataError(f"{url} is over {URL_BYTES >> 20} MB: fetch it to a file first")
        if time.monotonic() > deadline:
            return DataError(
                f"{url} is not there after {URL_TOTAL_SECONDS:.0f} s ({len(content):,} bytes "
                "came): fetch it to a file first"
            )
    if answer.length:
        return DataError(
            f"{url} ended after {len(content):,} bytes, {answer.length:,} are missing: try again"
        )
    return bytes(content)
