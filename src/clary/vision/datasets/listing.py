"""Finding picture files below a folder: fast, in a fixed order, saying what was left out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clary.errors import DataError
from clary.formats.text import counted
from clary.vision.datasets.dataset import Skipped
from clary.vision.headers import EXTENSIONS

# A GIF can be predicted, but in a data set it is nearly always a preview of something.
PICTURE_EXTENSIONS = frozenset(EXTENSIONS) - {".gif"}
MANIFEST_EXTENSIONS = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".lst", ".manifest"})

# What operating systems and notebooks leave behind without a dot before the name.
_HIDDEN_FOLDERS = frozenset(
    {"__MACOSX", "@eaDir", "__pycache__", "$RECYCLE.BIN", "System Volume Information"}
)
_HIDDEN_FILES = frozenset({"thumbs.db", "desktop.ini"})


def extension(name: str) -> str:
    """The part of a file's name from its last dot, in lower case; empty without one."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def is_hidden_folder(name: str) -> bool:
    """Whether people do not see a folder of this name, or did not make it."""
    return name.startswith(".") or name in _HIDDEN_FOLDERS


def is_hidden_file(name: str) -> bool:
    """Whether people do not see a file of this name, or did not make it."""
    return name.startswith(".") or name.lower() in _HIDDEN_FILES


@contextmanager
def readable(folder: Path | str) -> Iterator[None]:
    """Turn what the operating system says about reading a folder or file into a sentence.

    Raises:
        DataError: in place of any OSError.
    """
    try:
        yield
    except PermissionError as error:
        raise DataError(
            f"{folder} cannot be read (permission denied): give yourself the right to read it"
        ) from error
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from error


def entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """A folder's entries, sorted by name.

    Raises:
        DataError: the folder cannot be read.
    """
    with readable(folder), os.scandir(folder) as scan:
        return sorted(scan, key=lambda entry: entry.name)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; no for a link that leads to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


class PictureFinder:
    """Finds the pictures below folders of one data set and gathers what it left out.

    Not thread-safe; used once and dropped.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.skipped: list[Skipped] = []

    def skip(self, name: str, reason: str) -> None:
        """Record something that is left out, under its name relative to the root."""
        self.skipped.append(Skipped(name, reason))

    def pictures(self, relative: str) -> list[str]:
        """The names, relative to the root, of all pictures in and below a folder, sorted.

        Raises:
            DataError: a folder cannot be read.
        """
        names: list[str] = []
        top = self.root / relative
        self._walk(relative, names, (self._identity(top),))
        names.sort()
        return names

    def _walk(self, relative: str, names: list[str], above: tuple[tuple[int, int], ...]) -> None:
        for entry in entries(self.root / relative):
            name = f"{relative}/{entry.name}" if relative else entry.name
            if not is_folder(entry):
                if self.is_picture(entry, name):
                    names.append(name)
            elif is_hidden_folder(entry.name):
                self.skip_hidden(name)
            else:
                identity = self._identity(self.root / name)
                if identity in above:
                    self.skip(f"{name}/", "a link to a folder above it")
                else:
                    self._walk(name, names, (*above, identity))

    def is_picture(self, entry: os.DirEntry[str], name: str) -> bool:
        """Whether an entry is a picture by its extension; records it when it is not."""
        suffix = extension(entry.name)
        if is_hidden_file(entry.name):
            if suffix in PICTURE_EXTENSIONS:
                self.skip(name, "hidden file")
            return False
        if suffix not in PICTURE_EXTENSIONS:
            self.skip(name, f"unsupported type {suffix}" if suffix else "no file extension")
            return False
        # Asked last: it costs a system call for links, and says no for broken ones.
        if not _is_file(entry):
            self.skip(name, "a broken link" if entry.is_symlink() else "not a regular file")
            return False
        return True

    def skip_hidden(self, relative: str) -> None:
        """Record a hidden folder and how many pictures it holds directly."""
        try:
            with os.scandir(self.root / relative) as scan:
                count = sum(extension(entry.name) in PICTURE_EXTENSIONS for entry in scan)
        except OSError:
            # Nobody wanted to read it: that it is there is all there is to say.
            count = 0
        holding = f" with {counted(count, 'picture')}" if count else ""
        self.skip(f"{relative}/", f"hidden folder{holding}")

    @staticmethod
    def _identity(folder: Path) -> tuple[int, int]:
        with readable(folder):
            status = folder.stat()
        return status.st_dev, status.st_ino
