"""Unpacking a zip or tar of pictures, once, into the cache. Nothing gets outside of its folder.

No link is ever created: a member that links to another becomes a second copy of it, so no later
member can be written through a link.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path
from typing import IO

from clary.errors import DataError, StorageError
from clary.formats.files import storage_errors
from clary.settings import Settings
from clary.vision.datasets.dataset import Progress
from clary.vision.datasets.listing import readable
from clary.vision.datasets.prepared import built_once, files_key

ARCHIVE_EXTENSIONS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")

_CHUNK_BYTES = 1 << 20
_LINK_BYTES = 4096
_SPACE_CHECK_BYTES = 1 << 26
# Left free on the disk by an archive that turns out larger than thought.
_RESERVE_BYTES = 1 << 28


def archive_stem(name: str) -> str | None:
    """The name without an archive's extension; None if it has none."""
    lower = name.lower()
    suffixes = [suffix for suffix in ARCHIVE_EXTENSIONS if lower.endswith(suffix)]
    return name[: -max(map(len, suffixes))] if suffixes else None


def unpack(archive: Path, settings: Settings, progress: Progress | None = None) -> Path:
    """Unpack an archive into the cache, or find it there.

    All files get the archive's own time of change, so that the same archive always gives the
    same fingerprints and a changed one others.

    Returns:
        The folder that holds its members.

    Raises:
        DataError: it is damaged, encrypted, no archive, or holds a member that leads outside.
        StorageError: the disk has too little space, or the cache cannot be written.
    """
    with readable(archive):
        key = files_key([archive])
        time_ns = archive.stat().st_mtime_ns
    name = re.sub(r"[^\w.-]", "_", archive_stem(archive.name) or archive.name)[:40]

    def build(target: Path) -> None:
        with _damage_named(archive):
            writer = _MemberWriter(archive, target, time_ns, progress)
            if _is_zip(archive):
                _unpack_zip(archive, writer)
            else:
                _unpack_tar(archive, writer)

    return built_once(settings.cache_dir / "unpacked" / f"{name}-{key}", build)


@contextmanager
def _damage_named(archive: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError) as error:
        # tarfile lists every compression that it has tried, a line for each.
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise DataError(
            f"{archive} is damaged or no archive ({reason}): fetch or pack it again"
        ) from error
    except (RuntimeError, NotImplementedError) as error:
        # zipfile's words for a password and for an unknown compression.
        raise DataError(
            f"{archive} cannot be unpacked here ({error}): unpack it yourself"
        ) from error
    except OSError as error:
        if error.errno is None:
            # gzip and bz2 report damage as an OSError that the system knows nothing of.
            raise DataError(f"{archive} is damaged ({error}): fetch or pack it again") from error
        # What cannot be written is a StorageError already.
        raise DataError(
            f"{archive} cannot be read ({error.strerror}): check the disk it is on"
        ) from error


def _is_zip(archive: Path) -> bool:
    """Whether to read it as a zip: by its name first, for a tar may end in a zip."""
    if archive.name.lower().endswith(".zip") or not tarfile.is_tarfile(archive):
        return zipfile.is_zipfile(archive)
    return False


def safe_member(name: str) -> str:
    """A member's name as a plain relative path; empty for the archive's own root.

    Raises:
        ValueError: it is absolute, has a drive letter, leads upwards or holds a NUL.
    """
    plain = name.replace("\\", "/") if os.sep == "\\" else name
    parts = [part for part in plain.split("/") if part not in {"", "."}]
    if plain.startswith("/") or ".." in parts or "\0" in plain:
        raise ValueError(name)
    if re.match(r"[A-Za-z]:", plain) and os.sep == "\\":
        raise ValueError(name)
    return "/".join(parts)


class _MemberWriter:
    """Writes the members of one archive below `target`, checking names and space."""

    def __init__(
        self, archive: Path, target: Path, time_ns: int, progress: Progress | None
    ) -> None:
        self.archive = archive
        self.target = target
        self._time_ns = time_ns
        self._progress = progress
        self._written = 0
        self._checked = 0
        self.total: int | None = None

    def refuse(self, name: str, reason: str) -> DataError:
        """The error for a member that must not be unpacked."""
        return DataError(f"{self.archive} holds {name!r}, {reason}: it is not safe to unpack")

    def place(self, name: str) -> str:
        """A member's name as a relative path.

        Raises:
            DataError: it leads out of the target.
        """
        try:
            return safe_member(name)
        except ValueError:
            raise self.refuse(name, "a name that leads out of its folder") from None

    def need(self, size: int) -> None:
        """Check the disk for so many bytes more.

        Raises:
            StorageError: there are fewer, less a reserve.
        """
        with storage_errors(self.target):
            free = shutil.disk_usage(self.target).free
        if size + _RESERVE_BYTES > free:
            raise StorageError(
                f"{self.archive} needs {size / 1e9:.1f} GB more to be unpacked, and "
                f"{self.target.parent} has {free / 1e9:.1f} GB free: free some space, or set "
                "CLARY_HOME to another disk"
            )

    def make_folder(self, name: str) -> None:
        """Make a folder and those above it."""
        with storage_errors(self.target / name):
            (self.target / name).mkdir(parents=True, exist_ok=True)

    def write(self, name: str, source: IO[bytes]) -> None:
        """Write a file; the folders above it are made."""
        path = self.target / name
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as output:
                while chunk := self._chunk(source):
                    output.write(chunk)
                    self._written += len(chunk)
                    if self._written - self._checked >= _SPACE_CHECK_BYTES:
                        self._checked = self._written
                        self.need(_SPACE_CHECK_BYTES)
            os.utime(path, ns=(self._time_ns, self._time_ns))
        if self._progress is not None:
            self._progress(f"unpacking {self.archive.name}", self._written, self.total)

    def _chunk(self, source: IO[bytes]) -> bytes:
        with _damage_named(self.archive):
            return source.read(_CHUNK_BYTES)

    def copy(self, name: str, other: str) -> None:
        """Write a file that is the same as one written before, if that is a file."""
        origin = self.target / other
        if origin.is_file() and name != other:
            with origin.open("rb") as source:
                self.write(name, source)


def _unpack_zip(archive: Path, writer: _MemberWriter) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        writer.total = sum(member.file_size for member in members)
        writer.need(writer.total)
        links: list[tuple[str, str]] = []
        for member in members:
            name = writer.place(member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir() or not name:
                writer.make_folder(name)
            elif kind == stat.S_IFLNK:
                if member.file_size > _LINK_BYTES:
                    raise writer.refuse(member.filename, "a link without an end")
                target = opened.read(member).decode("utf-8", "surrogateescape")
                links.append((name, _link_target(name, target, writer)))
            elif kind in {0, stat.S_IFREG}:
                with opened.open(member) as source:
                    writer.write(name, source)
            else:
                raise writer.refuse(member.filename, "neither a file nor a folder")
        for name, target in links:
            writer.copy(name, target)


def _unpack_tar(archive: Path, writer: _MemberWriter) -> None:
    with tarfile.open(archive, "r:*") as opened:
        links: list[tuple[str, str]] = []
        for member in opened:
            name = writer.place(member.name)
            if member.isdir() or not name:
                writer.make_folder(name)
            elif member.issym():
                links.append((name, _link_target(name, member.linkname, writer)))
            elif member.islnk():
                links.append((name, writer.place(member.linkname)))
            elif member.isreg():
                source = opened.extractfile(member)
                if source is not None:
                    with source:
                        writer.write(name, source)
            else:
                raise writer.refuse(member.name, "neither a file nor a folder")
        # To the very end, where gzip keeps its checksum.
        while opened.fileobj is not None and opened.fileobj.read(_CHUNK_BYTES):
            pass
        for name, target in links:
            writer.copy(name, target)


def _link_target(name: str, target: str, writer: _MemberWriter) -> str:
    """What a symbolic link means, relative to the root, by its text alone: no link exists yet."""
    meant = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if target.startswith("/") or meant == ".." or meant.startswith("../"):
        raise writer.refuse(name, f"a link to {target}")
    return writer.place(meant)
