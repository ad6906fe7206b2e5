"""What the workers of a log say beside their captures, read while they say it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path

from clary.formats.tensor_log.entries import CollectionRecord
from clary.formats.tensor_log.layout import COLLECTIONS, ENDED, FAILURES, worker_order
from clary.formats.tensor_log.worker_files import read_collections, read_ended, read_failures

_Stamp = tuple[str, int, int]


class WorkerNotes:
    """How the hook was configured, what failed, and who has ended; one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[_Stamp, ...]] = {}
        self.collections: Mapping[str, CollectionRecord] = {}
        self.failures: tuple[str, ...] = ()
        # Of the workers that have closed their logs; 0 for none.
        self.last_segments: Mapping[str, int] = {}
        # Who has said how it is configured.
        self.described: Set[str] = frozenset()

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        Raises:
            FormatError: a file is damaged, or of a later version.
        """
        news = False
        for room in (ENDED, COLLECTIONS, FAILURES):
            stamps = _stamps(self._folder / room)
            if stamps == self._seen.get(room, ()):
                continue
            paths = [self._folder / room / stamp[0] for stamp in stamps]
            if room == COLLECTIONS:
                self.collections = _merged(paths)
                self.described = {path.stem for path in paths}
            elif room == FAILURES:
                self.failures = tuple(text for path in paths for text in read_failures(path))
            else:
                self.last_segments = {path.stem: read_ended(path) for path in paths}
            self._seen[room] = stamps
            news = True
        return news


def _merged(paths: list[Path]) -> Mapping[str, CollectionRecord]:
    merged: dict[str, CollectionRecord] = {}
    for path in paths:
        for name, record in read_collections(path).items():
            known = merged.get(name, record)
            tensors = tuple(dict.fromkeys((*known.tensors, *record.tensors)))
            merged[name] = CollectionRecord(name, known.include_regex, tensors, known.parameters)
    return merged


def _stamps(folder: Path) -> tuple[_Stamp, ...]:
    """The files of a folder with their size and time, in the workers' order."""
    found = []
    try:
        for path in folder.iterdir():
            if path.name.startswith("."):
                continue
            about = path.stat()
            found.append((path.name, about.st_size, about.st_mtime_ns))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple(sorted(found, key=lambda stamp: worker_order(stamp[0])))
