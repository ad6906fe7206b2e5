"""Reads files that grow, each byte once: of fixed records, and of lines of JSON.

What is not whole yet, or was cut off by a kill or a full disk, is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from clary.errors import FormatError

Records = npt.NDArray[Any]
Entry = TypeVar("Entry")
_LEAST_ROOM = 1024


class RecordFiles:
    """Files that begin with a magic word and hold records of a fixed size; one thread uses it.

    `records` are those of all files in the order of `start_us`. What somebody has kept of them does
    not change.
    """

    def __init__(self, folder: Path, pattern: str, magic: bytes, dtype: np.dtype[Any]) -> None:
        """Nothing is read before the first refresh.

        Args:
            folder: need not exist yet.
            pattern: of the files' names.
            magic: what they begin with: a name of 12 bytes and a version of four digits.
            dtype: of a record; it has a field `start_us`, which is 0 in no record.
        """
        self._folder = folder
        self._pattern = pattern
        self._magic = magic
        self._dtype = dtype
        self._read: dict[str, int] = {}
        self._room: Records = np.empty(0, dtype)
        self.records: Records = self._room

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        Raises:
            FormatError: a file does not begin as it should, or is of a later version.
            OSError: a file cannot be read.
        """
        parts, ends = [np.empty(0, self._dtype)], {}
        for path, size in grown(self._folder, self._pattern, self._read, len(self._magic)):
            records, ends[path.name] = self._new_records(path, size)
            parts.append(records)
        self._read.update(ends)
        more = np.concatenate(parts)
        # A power cut can leave zeros where a file had grown.
        more = more[more["start_us"] > 0]
        if len(more):
            self._add(more[np.argsort(more["start_us"], kind="stable")])
        return bool(len(more))

    def _new_records(self, path: Path, size: int) -> tuple[Records, int]:
        read = self._read.get(path.name, 0)
        with path.open("rb") as file:
            if not read:
                self._check(path, file.read(len(self._magic)))
                read = len(self._magic)
            file.seek(read)
            content = file.read(size - read)
        whole = len(content) // self._dtype.itemsize * self._dtype.itemsize
        return np.frombuffer(content[:whole], self._dtype), read + whole

    def _add(self, more: Records) -> None:
        before = len(self.records)
        together = before + len(more)
        in_order = not before or self.records["start_us"][-1] <= more["start_us"][0]
        if not in_order:
            joined = np.concatenate([self.records, more])
            more = joined[np.argsort(joined["start_us"], kind="stable")]
            before = 0
        if together > len(self._room) or not in_order:
            room = np.empty(max(_LEAST_ROOM, together + together // 2), self._dtype)
            room[:before] = self.records[:before]
            self._room = room
        self._room[before:together] = more
        self.records = self._room[:together]
        self.records.flags.writeable = False

    def _check(self, path: Path, magic: bytes) -> None:
        if magic == self._magic:
            return
        if magic[:12] == self._magic[:12] and magic[12:].isdigit():
            raise FormatError(
                f"{path} is of version {int(magic[12:])}, this Clary reads up to "
                f"{int(self._magic[12:])}: update Clary"
            )
        raise FormatError(f"{path} is damaged: it does not begin as a file of a timeline does")


class LineFiles:
    """Files of JSON objects, one a line; one thread uses it."""

    def __init__(self, folder: Path, pattern: str) -> None:
        """Nothing is read before the first look.

        Args:
            folder: need not exist yet.
            pattern: of the files' names.
        """
        self._folder = folder
        self._pattern = pattern
        self._read: dict[str, int] = {}

    def new_entries(self, make: Callable[[dict[str, Any]], Entry]) -> list[Entry]:
        """What the whole lines hold that were written since, file by file.

        Args:
            make: an entry of an object.

        Raises:
            FormatError: `make` raises it; the lines are read again the next time.
            OSError: a file cannot be read.
        """
        entries, ends = [], {}
        for path, size in grown(self._folder, self._pattern, self._read):
            read = self._read.get(path.name, 0)
            with path.open("rb") as file:
                file.seek(read)
                content = file.read(size - read)
            whole = content.rfind(b"\n") + 1
            ends[path.name] = read + whole
            for line in content[:whole].splitlines():
                try:
                    held = json.loads(line)
                except ValueError:
                    continue
                if isinstance(held, dict):
                    entries.append(make(held))
        self._read.update(ends)
        return entries


def grown(
    folder: Path, pattern: str, read: dict[str, int], least: int = 0
) -> Iterator[tuple[Path, int]]:
    """The files that have more bytes than were read, with their sizes, by name.

    Args:
        folder: need not exist yet.
        pattern: of the files' names.
        read: how many bytes of each name have been read.
        least: bytes without which a file is not looked at.

    Raises:
        OSError: a file cannot be read.
    """
    for path in sorted(folder.glob(pattern)):
        size = path.stat().st_size
        if size > max(read.get(path.name, 0), least):
            yield path, size
