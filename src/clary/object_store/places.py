"""Where things lie on the disk.

    buckets/<bucket>/…                    objects whose keys are paths; drop files in by hand
    buckets/<bucket> → /some/folder       a folder served in place, read-only
    buckets/.clary/index.sqlite           descriptions
    buckets/.clary/aside/<bucket>/…       objects whose keys cannot be paths
    buckets/.clary/uploads/<id>/…         parts of multipart uploads
    buckets/.clary/temporary/…            files that are being written

Symbolic links in a bucket of its own are not objects and not followed; in a folder that is served
in place they are, since whoever linked the folder meant what is seen there.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clary.object_store.errors import BucketIsReadOnly, LinkedFolderGone, NoSuchBucket
from clary.object_store.names import aside_path, is_bucket_name, natural_path

HIDDEN = b".clary"


@dataclass(frozen=True)
class Bucket:
    """A bucket's folders. `path` is its path below the store's root."""

    name: str
    root: bytes
    linked: bool

    @property
    def path(self) -> bytes:
        """The folder of the objects that lie at their natural paths, below the root."""
        return self.name.encode()

    @property
    def aside(self) -> bytes:
        """The folder of the others, below the root."""
        return b"/".join([HIDDEN, b"aside", self.path])

    def natural_file(self, key: bytes) -> bytes | None:
        """The full natural path of a key; None where it has none."""
        natural = natural_path(key)
        return None if natural is None else b"/".join([self.root, self.path, natural])

    def aside_file(self, key: bytes) -> bytes:
        """The full path aside of a key."""
        return b"/".join([self.root, self.aside, aside_path(key)])

    def stat(self, key: bytes, aside: bool) -> os.stat_result | None:
        """The state of a key's file; None where there is no plain one."""
        path = self.aside_file(key) if aside else self.natural_file(key)
        if path is None:
            return None
        try:
            state = os.stat(path, follow_symlinks=self.linked)
        except (OSError, ValueError):
            return None
        return state if stat.S_ISREG(state.st_mode) else None

    def open(self, key: bytes) -> tuple[int, bool] | None:
        """A descriptor of a key's file and whether it lies aside; None where there is none.

        Raises:
            PermissionError: the file may not be read.
        """
        natural = self.natural_file(key)
        for path, aside in ((natural, False), (self.aside_file(key), True)):
            if path is None or (aside and self.linked):
                continue
            descriptor = self._open(path)
            if descriptor is not None:
                if aside or self.linked or self.is_inside(key):
                    return descriptor, aside
                os.close(descriptor)
        return None

    def is_inside(self, key: bytes) -> bool:
        """Whether no folder on the natural path of a key is a symbolic link."""
        path = b"/".join([self.root, self.path])
        for segment in key.split(b"/")[:-1]:
            path += b"/" + segment
            try:
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    return False
            except OSError:
                return False
        return True

    def _open(self, path: bytes) -> int | None:
        # Not blocking: a pipe that was dropped in by hand would hold the thread for ever.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(path, flags if self.linked else flags | os.O_NOFOLLOW)
        except PermissionError:
            raise
        except OSError:
            return None
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        return None


class Places:
    """The folders below one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index_file = root / ".clary" / "index.sqlite"
        self.uploads = root / ".clary" / "uploads"
        self.temporary = root / ".clary" / "temporary"
        self._root = os.fsencode(root)

    def is_link(self, name: str) -> bool:
        """Whether a bucket's name stands for a folder served in place, be it there or gone."""
        return is_bucket_name(name) and (self.root / name).is_symlink()

    def bucket(self, name: str) -> Bucket:
        """The bucket of a name.

        Raises:
            NoSuchBucket: there is none, or the folder that it serves is gone.
        """
        if not is_bucket_name(name):
            raise NoSuchBucket(name)
        path = self._root + b"/" + name.encode()
        try:
            linked = stat.S_ISLNK(os.lstat(path).st_mode)
            there = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError as error:
            if not isinstance(error, FileNotFoundError) or not os.path.islink(path):
                raise NoSuchBucket(name) from error
            linked, there = True, False
        if not there:
            if linked:
                raise LinkedFolderGone(name, os.fsdecode(os.readlink(path)))
            raise NoSuchBucket(name)
        return Bucket(name, self._root, linked)

    def writable(self, name: str) -> Bucket:
        """The bucket of a name, when it may be written.

        Raises:
            NoSuchBucket: there is none.
            BucketIsReadOnly: it serves a folder in place.
        """
        bucket = self.bucket(name)
        if bucket.linked:
            raise BucketIsReadOnly(name)
        return bucket


def make_parents(top: bytes, path: bytes) -> list[bytes]:
    """Make the folders between `top`, which must be there, and the file at `path`.

    The folders in which a new one stands now are given back.

    Raises:
        FileNotFoundError: a folder was removed meanwhile.
        NotADirectoryError: a file or a symbolic link is where a folder should be.
    """
    made = top
    changed = []
    for segment in path[len(top) + 1 :].split(b"/")[:-1]:
        above = made
        made += b"/" + segment
        try:
            state = os.lstat(made)
        except FileNotFoundError:
            with suppress(FileExistsError):  # another thread was faster
                os.mkdir(made)
                changed.append(above)
            state = os.lstat(made)
        if not stat.S_ISDIR(state.st_mode):
            raise NotADirectoryError(made)
    return changed


def force_names(folder: bytes) -> None:
    """Bring the names in a folder to the disk, where its file system offers that.

    Raises:
        OSError: the disk does not take them.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def prune(top: bytes, path: bytes) -> None:
    """Remove the folders between `top` and the file that was at `path`, as far as empty."""
    folder = path.rpartition(b"/")[0]
    with suppress(OSError):
        while len(folder) > len(top):
            os.rmdir(folder)
            folder = folder.rpartition(b"/")[0]
