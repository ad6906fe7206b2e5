"""Folders that hold exactly what a prefix names, so that a job can be given them as they are."""

from __future__ import annotations

import os
from pathlib import Path

from clary.object_store.index import Index
from clary.object_store.names import natural_path
from clary.object_store.places import Bucket


def whole_folder(index: Index, bucket: Bucket, prefix: bytes) -> Path | None:
    """The folder of the objects under a prefix and of no others; None where there is none.

    The names under the prefix must be in the index. Keys that end in `/`, which stand for empty
    folders, are not counted.
    """
    if any(not key.endswith(b"/") for key in index.aside_keys(bucket.name, prefix)):
        return None
    top = Path(os.fsdecode(bucket.root)) / bucket.name
    if not prefix:
        return top
    named = prefix.removesuffix(b"/")
    if natural_path(named) is None:
        return None
    if not bucket.linked and not bucket.is_inside(named + b"/"):
        return None
    path = top / os.fsdecode(named)
    if not path.is_dir():
        return None
    return path if prefix.endswith(b"/") or _stands_alone(path) else None


def _stands_alone(path: Path) -> bool:
    """Whether nothing beside a folder has a name that begins with the folder's."""
    return not any(
        entry.name.startswith(path.name) and entry.name != path.name
        for entry in path.parent.iterdir()
    )
