"""Bringing a file of a bucket into a job's folder: by hard link, by shared blocks, or by copying.

A hard link is the object itself, so it is for views that are mounted read-only. Shared blocks
(reflinks: btrfs, XFS, bcachefs) cost nothing either and keep the object from changes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from clary.formats.files import storage_errors

_FICLONE = 0x40049409


def link_file(source: Path, target: Path) -> None:
    """Hard link a file, or copy it where the system refuses the link.

    Raises:
        StorageError: the target cannot be written, or the disk is full.
    """
    try:
        os.link(source, target)
    except OSError:  # another disk, another owner, too many links
        copy_file(source, target)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file with its time, sharing blocks where the disk can.

    Raises:
        StorageError: the target cannot be written, or the disk is full.
    """
    with storage_errors(target):
        with source.open("rb") as reading, target.open("wb") as writing:
            try:
                fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
            except OSError:
                shutil.copyfileobj(reading, writing, 1 << 20)
        about = source.stat()
        os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))
