"""How many forward passes a worker has counted, captured or not: a hook goes on from there.

statistics/.<worker>.passes    {"TRAIN": 16, "GLOBAL": 20}    the last one of each mode
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from clary.formats.tensor_log.entries import Mode
from clary.formats.tensor_log.layout import SEGMENTS, WorkerPaths


def write_passes(paths: WorkerPaths, passes: Mapping[Mode, int]) -> None:
    """Replace what was said before.

    Raises:
        OSError: it cannot be written.
    """
    temporary = paths.passes.with_suffix(".counting")
    temporary.write_text(json.dumps({mode.name: last for mode, last in passes.items()}))
    temporary.replace(paths.passes)


def read_passes(folder: Path) -> Mapping[Mode, int]:
    """The last pass of each mode, of the worker that came furthest; -1 where none is known."""
    known = dict.fromkeys(Mode, -1)
    for path in (folder / SEGMENTS).glob(".*.passes"):
        try:
            told = json.loads(path.read_text())
            found = {mode: int(told.get(mode.name, -1)) for mode in Mode}
        except (ValueError, TypeError, AttributeError):
            continue  # a power cut may leave it empty
        known = {mode: max(known[mode], found[mode]) for mode in Mode}
    return known
