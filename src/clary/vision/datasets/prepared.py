"""Folders that are computed once: a reader sees a whole folder or none."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from clary.formats.files import storage_errors
from clary.vision.caching import locked

_TEMPORARY = ".unfinished-"
_ABANDONED_SECONDS = 24 * 3600
_SAMPLE_BYTES = 1 << 16


def built_once(target: Path, build: Callable[[Path], None]) -> Path:
    """Give the folder `target`, building it in a temporary one beside it when it is not there.

    Of several processes one builds and the others wait for it. What a killed process left behind
    is removed after a day.

    Args:
        target: the final place; its name stands for the content.
        build: fills the empty folder it is given, and says itself what cannot be read or written.

    Raises:
        StorageError: the cache cannot be written, or the disk is full.
    """
    if target.is_dir():
        return target
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.with_name(f".{target.name}.lock")
    with locked(lock):
        try:
            if not target.is_dir():
                _build(target, build)
        finally:
            # Whoever waits holds the file without its name; at worst two build, as below.
            with suppress(OSError):
                lock.unlink()
    return target


def _build(target: Path, build: Callable[[Path], None]) -> None:
    with storage_errors(target):
        _remove_abandoned(target.parent)
        temporary = Path(mkdtemp(prefix=_TEMPORARY, dir=target.parent))
    try:
        build(temporary)
        with storage_errors(target):
            # A power cut must not leave the name without the content.
            os.sync()
            try:
                temporary.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def files_key(files: list[Path]) -> str:
    """A hex digest over the names, sizes, times of change, first and last bytes of files.

    Reading 128 KiB a file tells a changed archive whose size and time stayed: the end of a zip
    is the list of its members' checksums.
    """
    digest = hashlib.sha256()
    for file in files:
        status = file.stat()
        digest.update(f"{file.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
        with file.open("rb") as opened:
            digest.update(opened.read(_SAMPLE_BYTES))
            opened.seek(max(0, status.st_size - _SAMPLE_BYTES), os.SEEK_SET)
            digest.update(opened.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:32]


def _remove_abandoned(folder: Path) -> None:
    for leftover in folder.glob(f"{_TEMPORARY}*"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)
