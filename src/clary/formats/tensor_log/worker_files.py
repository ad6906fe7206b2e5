"""The small files of a worker: its collections, its failures, and that it has ended."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clary.errors import FormatError
from clary.formats.files import read_versioned_json, write_json
from clary.formats.tensor_log.entries import CollectionRecord
from clary.formats.tensor_log.layout import VERSION, WorkerPaths


def write_collections(paths: WorkerPaths, collections: Sequence[CollectionRecord]) -> None:
    """Say how the hook was configured, and what it found to belong to each collection.

    Of collections with one name, their tensors and expressions are written together.

    Raises:
        StorageError: the folder cannot be written.
    """
    described: dict[str, dict[str, Any]] = {}
    for record in collections:
        known = described.get(record.name, {"include_regex": [], "tensors": [], "parameters": {}})
        described[record.name] = {
            "include_regex": list(dict.fromkeys((*known["include_regex"], *record.include_regex))),
            "tensors": list(dict.fromkeys((*known["tensors"], *record.tensors))),
            "parameters": {**known["parameters"], **record.parameters},
        }
    write_json(paths.collections, {"version": VERSION, "collections": described})


def read_collections(path: Path) -> Mapping[str, CollectionRecord]:
    """Of one worker.

    Raises:
        FormatError: the file is missing or damaged, or of a later version.
    """
    try:
        described = read_versioned_json(path, VERSION)["collections"]
        return {
            name: CollectionRecord(
                name,
                tuple(held["include_regex"]),
                tuple(held["tensors"]),
                dict(held["parameters"]),
            )
            for name, held in described.items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path} is damaged: {error!r}") from error


def append_failure(paths: WorkerPaths, text: str) -> None:
    """Say what went wrong.

    Raises:
        OSError: it cannot be written.
    """
    paths.failures.parent.mkdir(parents=True, exist_ok=True)
    # The newline before it parts it from a line that a full disk has cut off.
    line = "\n" + json.dumps({"at": time.time(), "text": text}) + "\n"
    with paths.failures.open("ab") as file:
        file.write(line.encode())


def read_failures(path: Path) -> tuple[str, ...]:
    """What went wrong, in the order in which it did; a line that was cut off is left out."""
    texts: list[str] = []
    for line in path.read_bytes().splitlines():
        try:
            texts.append(str(json.loads(line)["text"]))
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(texts)


def write_ended(paths: WorkerPaths, last_segment: int) -> None:
    """Say that the worker has closed its log, and with which segment; 0 for none.

    Raises:
        StorageError: the folder cannot be written.
    """
    ended = {"version": VERSION, "at": time.time(), "last_segment": last_segment}
    write_json(paths.ended, ended)


def read_ended(path: Path) -> int:
    """The number of the worker's last segment; 0 when it has none.

    Raises:
        FormatError: the file is missing or damaged, or of a later version.
    """
    try:
        return int(read_versioned_json(path, VERSION)["last_segment"])
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path} is damaged: {error!r}") from error
