"""A capture as a line of the live file: a JSON object, and what segments are made from.

    {"step": [12, 1, 12, 1790000000.5], "scalars": {"CrossEntropyLoss_output_0": 0.31},
     "statistics": {"Net_fc.weight": [512, 0, …]}, "units": …, "raw": …, "shapes": …}

A line that is being written has no newline yet and is not read.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from clary.formats.tensor_log.entries import Capture, Statistics
from clary.formats.text import valid_text

Line = dict[str, Any]
# In the order in which they stand in a line and in a segment's table.
COUNTS = ("size", "zeros", "nans", "infs")
MEASURES = ("min", "max", "mean", "std", "abs_min", "prod", "l1", "l2", "update_l2")
_counts = attrgetter(*COUNTS)
_measures = attrgetter(*MEASURES)


def encode_capture(capture: Capture, files: Mapping[str, str]) -> Line:
    """As a line.

    Args:
        capture: what was seen.
        files: where the raw tensors lie that are too large for a line, relative to the log.
    """
    step = capture.step
    line: Line = {"step": [int(step.number), int(step.mode), int(step.mode_step), float(step.at)]}
    if capture.scalars:
        line["scalars"] = {valid_text(k): float(v) for k, v in capture.scalars.items()}
    if capture.statistics:
        line["statistics"] = {
            valid_text(name): _statistics(held) for name, held in capture.statistics.items()
        }
    if capture.units:
        line["units"] = {
            valid_text(name): {kind: _units(values) for kind, values in kinds.items()}
            for name, kinds in capture.units.items()
        }
    if capture.raw:
        line["raw"] = {
            valid_text(name): [
                raw.dtype,
                list(raw.shape),
                None if name in files else _text(raw.data),
                files.get(name),
            ]
            for name, raw in capture.raw.items()
        }
    if capture.shapes:
        line["shapes"] = {valid_text(k): [int(n) for n in v] for k, v in capture.shapes.items()}
    return line


def dump_line(line: Line) -> bytes:
    """The bytes of a line, with its newline."""
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def read_lines(path: Path, offset: int = 0) -> tuple[list[Line], int]:
    """The whole lines of a live file from a byte offset on, and the offset behind them.

    Raises:
        FileNotFoundError: it has become a segment.
    """
    with path.open("rb") as file:
        file.seek(offset)
        content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    return list(_parsed(whole)), offset + len(whole)


def from_text(text: str) -> bytes:
    """Bytes that stand in a line as text."""
    return base64.b64decode(text)


def _parsed(content: bytes) -> Iterator[Line]:
    for text in content.splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # a machine that went down may leave a torn line
            continue
        if isinstance(line, dict) and "step" in line:
            yield line


def _statistics(held: Statistics) -> list[Any]:
    # Numbers of numpy's are none of JSON's.
    values: list[Any] = [value if value is None else int(value) for value in _counts(held)]
    values += [value if value is None else float(value) for value in _measures(held)]
    if held.histogram is not None:
        counts = [int(count) for count in held.histogram.counts]
        values.append([float(held.histogram.low), float(held.histogram.high), counts])
    return values


def _units(values: np.ndarray[Any, Any]) -> list[Any]:
    array = np.ascontiguousarray(values, dtype="<f4")
    return [list(np.shape(values)), _text(array.tobytes())]


def _text(data: bytes | memoryview) -> str:
    return base64.b64encode(data).decode("ascii")
