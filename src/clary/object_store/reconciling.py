"""Taking notice of files that somebody dropped into a bucket by hand.

A folder's modification time changes when a name in it does, so only folders whose times have
changed since they were last read are read again, by names alone; the state of files is looked up
for the page that is listed. The time of the last change of state counts, too: `rsync -t` and `tar`
give a folder its old modification time back. A change within the clock's grain of the reading could
hide behind the same times, so a folder is not remembered as read until they have come to rest.
"""

from __future__ import annotations

import os
import stat
import time

from clary.object_store.index import FolderRow, Index
from clary.object_store.names import KEY_LIMIT_BYTES, key_aside, natural_path
from clary.object_store.places import Bucket

# FAT counts time in steps of two seconds; nothing in use is coarser.
RESTING_NS = 2_000_000_000


def reconcile(index: Index, bucket: Bucket, prefix: bytes) -> None:
    """Bring the names under a prefix into the index, as they are on the disk now."""
    base = prefix.rpartition(b"/")[0]
    if not base or natural_path(base) is not None:
        inside = bucket.linked or not base or bucket.is_inside(base + b"/")
        if inside:
            top = b"/".join([bucket.path, base]) if base else bucket.path
            _Walk(index, bucket, False).visit(top, b"/".join([bucket.path, prefix]))
    if not bucket.linked:
        _Walk(index, bucket, True).visit(bucket.aside, bucket.aside + b"/")


class _Walk:
    """One look at a folder and those below it, of the natural ones or of those aside."""

    def __init__(self, index: Index, bucket: Bucket, aside: bool) -> None:
        self._index = index
        self._bucket = bucket
        self._aside = aside
        self._top = bucket.aside if aside else bucket.path

    def visit(self, top: bytes, below: bytes) -> None:
        """Read what has changed of the folder `top` and of known folders that begin so."""
        known = {row.path: row for row in self._index.folders(top, below)}
        known.setdefault(top, FolderRow(top, 0, 0, 0))
        waiting = list(known.values())
        read: list[FolderRow] = []
        while waiting:
            row = waiting.pop()
            full = self._bucket.root + b"/" + row.path
            try:
                state = os.stat(full, follow_symlinks=self._bucket.linked)
            except OSError:
                state = None
            if state is None or not stat.S_ISDIR(state.st_mode):
                self._index.forget_folder(row.path)
                if state is not None:
                    # A link or a file in its place: what was below must not be looked up there.
                    self._index.forget_below(self._bucket.name, self._below(row.path) + b"/")
                continue
            now = FolderRow(row.path, state.st_ino, state.st_mtime_ns, state.st_ctime_ns)
            if now == row:
                continue
            began = time.time_ns()
            folders = self._read(row.path, full)
            for path in folders:
                if path not in known and path.startswith(below):
                    known[path] = FolderRow(path, 0, 0, 0)
                    waiting.append(known[path])
            if max(now.mtime_ns, now.ctime_ns) + RESTING_NS < began:
                read.append(now)
        if read:
            self._index.remember_folders(read)

    def _read(self, path: bytes, full: bytes) -> list[bytes]:
        keys: list[bytes] = []
        folders: list[bytes] = []
        follow = self._bucket.linked
        try:
            with os.scandir(full) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=follow):
                        if not (entry.is_symlink() and self._is_loop(full, entry.path)):
                            folders.append(path + b"/" + entry.name)
                    elif entry.is_file(follow_symlinks=follow):
                        key = self._key(path + b"/" + entry.name)
                        if key is not None:
                            keys.append(key)
        except OSError:  # gone, or not to be read: its files cannot be served either
            return []
        if keys:
            self._index.add_names(self._bucket.name, keys, self._aside)
        if folders:
            self._index.add_folders(folders)
        return folders

    def _key(self, path: bytes) -> bytes | None:
        below = self._below(path)
        key = key_aside(below) if self._aside else below
        if key is None or len(key) > KEY_LIMIT_BYTES:
            return None
        try:
            key.decode()
        except UnicodeDecodeError:  # a key is Unicode; such a name has none
            return None
        return key

    def _below(self, path: bytes) -> bytes:
        return path[len(self._top) + 1 :]

    @staticmethod
    def _is_loop(folder: bytes, link: bytes) -> bool:
        target = os.path.realpath(link)
        real = os.path.realpath(folder)
        return real == target or real.startswith(target + b"/")
