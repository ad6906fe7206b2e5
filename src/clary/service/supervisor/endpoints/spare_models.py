"""Which of the models of a multi-model variant make room on the disk for others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

# Whatever the bound: where less is free than this, other things than models soon fail.
LEAST_FREE_BYTES = 10**9


def spare_models(
    models: Path, *, limit_bytes: int, least_free_bytes: int, last_asked: Callable[[Path], float]
) -> list[Path]:
    """The folders to delete, beginning with what was asked for longest ago; mostly none.

    Args:
        models: holds a folder for each model.
        limit_bytes: what they may take together.
        least_free_bytes: what must be free on their disk.
        last_asked: when a model was last asked for, as a number that rises.

    Raises:
        OSError: the disk cannot be read.
    """
    if not models.is_dir():
        return []
    sizes = {folder: _size(folder) for folder in models.iterdir()}
    excess = max(
        sum(sizes.values()) - limit_bytes, least_free_bytes - shutil.disk_usage(models).free
    )
    spare = []
    for folder in sorted(sizes, key=lambda one: (last_asked(one), one.stat().st_mtime_ns)):
        if excess <= 0:
            break
        spare.append(folder)
        excess -= sizes[folder]
    return spare


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))
