"""Atomic files: a reader sees the old content or the new, never a half."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from clary.errors import FormatError, StorageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; put it in place when the block ends well.

    The content is on the disk (fsync) before the name changes, so that a kill or a power cut
    leaves the old file or the new one.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{token_hex(4)}.tmp")
        # Not mkstemp, whose files are the owner's alone: to know what others may do with this one,
        # one would have to ask for the umask, which changes it for all threads.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about writing `path` into a sentence.

    Raises:
        StorageError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            message = f"the disk is full while writing {path}: free some space and run again"
        else:
            reason = error.strerror or error
            message = f"{path} cannot be written ({reason}): choose another folder"
        raise StorageError(message) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented, keys in the order given.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        FormatError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FormatError(f"{path} is missing") from error
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} is not readable as JSON: {error}") from error


def read_versioned_json(path: Path, version: int, key: str = "version") -> dict[str, Any]:
    """Read a JSON object that says which version of its format it has.

    Args:
        path: the file.
        version: the latest that this Clary reads.
        key: where the object says it.

    Raises:
        FormatError: the file is missing or damaged, or of a later version.
    """
    content = read_json(path)
    found = content.get(key) if isinstance(content, dict) else None
    if not isinstance(found, int) or found > version:
        raise FormatError(
            f"{path} has version {found!r} but this Clary reads up to {version}: "
            "install a newer Clary"
        )
    return dict(content)
