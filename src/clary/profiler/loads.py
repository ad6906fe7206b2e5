"""What loading a picture costs, as the batches tell that were loaded."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

from clary.formats.timeline import LoadRecord
from clary.formats.timeline.writer import LOADS_MAGIC

LOOKED_AT_BYTES = 64 << 10
LOOKED_AT_FILES = 16


def decode_seconds(folder: Path) -> float | None:
    """What a picture's loading takes of a core, as the latest batches of a worker's folder tell.

    Args:
        folder: `profiler/timeline/<worker>`.

    Returns:
        The median over batches of processor time for a picture; None where nothing was loaded.
    """
    size = LoadRecord.LAYOUT.size
    costs: list[float] = []
    for path in _latest(folder):
        try:
            content = path.read_bytes()[len(LOADS_MAGIC) :]
        except OSError:  # it was removed meanwhile
            continue
        latest = content[: len(content) // size * size][-LOOKED_AT_BYTES // size * size :]
        for _, seconds, pictures, _, cpu_s in LoadRecord.LAYOUT.iter_unpack(latest):
            if pictures and not math.isnan(cpu_s):
                costs.append(min(seconds, cpu_s) / pictures)
    costs.sort()
    return costs[len(costs) // 2] if costs else None


def _latest(folder: Path) -> list[Path]:
    written: list[tuple[float, Path]] = []
    for path in folder.glob("loads-*.bin"):
        with suppress(OSError):
            written.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(written)[-LOOKED_AT_FILES:]]
