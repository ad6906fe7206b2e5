"""A history as event files, which TensorBoard reads.

    write_event_files(History.open(folder), Path("runs"))
    tensorboard --logdir runs

Each mode is a run of its own, so that training and validation share their axes; steps count over
all modes. Losses and statistics become scalars, histograms stay histograms.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from clary.debugger.event_records import event, header, histogram, scalar
from clary.debugger.history import History
from clary.formats.files import replacing
from clary.formats.tensor_log.entries import Mode

_DRAWN = ("mean", "std", "min", "max", "l2", "update_l2", "zeros", "nans", "infs")


def write_event_files(history: History, folder: Path) -> list[Path]:
    """Write what a history holds; the files, one for each mode in which something was seen.

    Args:
        history: of any training.
        folder: gets a folder for each mode, by its name; what was exported before is replaced.

    Raises:
        StorageError: the folder cannot be written.
        FormatError: a file of the history is damaged or gone.
    """
    seen = {number: history.at(number) for number in history.steps()}
    first: dict[Mode, float] = {}
    for step in seen.values():
        first.setdefault(step.mode, step.at)
    paths = {
        mode: folder / mode.name / f"events.out.tfevents.{0:010}.clary"
        for mode in Mode
        if mode in first
    }
    with ExitStack() as stack:
        files: dict[Mode, BinaryIO] = {}
        for mode, path in paths.items():
            files[mode] = stack.enter_context(stack.enter_context(replacing(path)).open("wb"))
            files[mode].write(header(first[mode]))
        for number, summary in _summaries(history):
            files[seen[number].mode].write(event(seen[number].at, number, summary))
    return list(paths.values())


def _summaries(history: History) -> Iterator[tuple[int, bytes]]:
    for name, held in history.names().items():
        tag = name.replace(":", "_")
        scalars = history.scalars(name)
        for number, value in scalars.items():
            yield number, scalar(tag, value)
        if held.kinds.isdisjoint({"statistics", "raw"}):
            continue
        for number, statistics in history.statistics(name).items():
            if number in scalars:
                continue
            for measure in _DRAWN:
                value = getattr(statistics, measure)
                if value is not None:
                    yield number, scalar(f"{tag}/{measure}", float(value))
            if statistics.histogram is not None:
                yield number, histogram(tag, statistics, statistics.histogram)
