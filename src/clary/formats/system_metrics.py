"""System metrics as SageMaker lays them out: JSON lines, a file for each minute and host.

    profiler/system/incremental/<YYYYMMDDHH>/<minute, seconds since 1970>.<node>.json
    profiler/system/failures.jsonl         what went wrong with the sampling itself

    {"Type":"cpu","Name":"cpu0","Dimension":"CPUUtilization","Value":97.5,"NodeId":"algo-1",
     "Timestamp":1591748109.23}

| Type     | Name                          | Dimension            | Value                        |
|----------|-------------------------------|----------------------|------------------------------|
| cpu      | cpu<n>                        | CPUUtilization       | percent of the core          |
| cpu      | cpu<n>                        | I/OWaitPercentage    | percent of the core          |
| memory   | MemoryUsedPercent             | Memory               | percent of the host's        |
| gpu      | gpu<n>                        | GPUUtilization       | percent of the time          |
| gpu      | gpu<n>                        | GPUMemoryUtilization | percent in use of its memory |
| network  | ReceiveBytesPerSecond,        | Algorithm            | of the host, loopback left   |
|          | TransmitBytesPerSecond        |                      | out                          |
| i/o      | ReadThroughputInBytesPerSecond, | Disk               | of the host's disks          |
|          | WriteThroughputInBytesPerSecond |                    |                              |
| i/o      | IOPS                          | Disk                 | reads and writes a second    |
| device   | power<n>                      | PowerWatts           | of a GPU (Clary's own)       |
| device   | temperature<n>                | TemperatureCelsius   | of a GPU (own)               |
| process  | CPUUtilization                | Process              | percent of one core, the job |
|          |                               |                      | (own)                        |
| process  | MemoryBytes                   | Process              | resident bytes of the job    |
| process  | BytesRead, BytesWritten       | Process              | a second, from and to disks  |
| process  | Processes, Threads            | Process              | how many the job has         |

In a file the Dimension of memory and i/o is empty, as SageMaker has it. What is Clary's own has a
Type of its own, which SageMaker's readers draw nowhere. Times are UTC; the values of one snapshot
bear one Timestamp. See `docs/formats/system_metrics.md`.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clary.formats.files import storage_errors

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# What has no dimension in a file, by Type.
_UNNAMED = {"memory": "Memory", "i/o": "Disk"}


class Metric(NamedTuple):
    """One number of a snapshot."""

    type: str
    name: str
    dimension: str
    value: float


def metrics_file(profiler: Path, node: str, at_s: float) -> Path:
    """The file that holds a moment, in seconds since 1970."""
    return _file_of_minute(profiler, node, int(at_s) // 60 * 60)


@lru_cache(maxsize=16)
def _file_of_minute(profiler: Path, node: str, minute: int) -> Path:
    hour = time.strftime("%Y%m%d%H", time.gmtime(minute))
    return profiler / "system" / "incremental" / hour / f"{minute}.{node}.json"


def append_snapshot(profiler: Path, node: str, at_s: float, metrics: Iterable[Metric]) -> None:
    """Add what was measured at one moment: all of it, or nothing.

    A value that is no number is left out. One process writes the files of a node.

    Args:
        profiler: the host's folder of the profiler.
        node: `algo-<n>`, for readers of SageMaker's find no other.
        at_s: seconds since 1970.
        metrics: what was measured.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    end = f',"NodeId":{json.dumps(node)},"Timestamp":{at_s:.6f}}}\n'
    content = "".join(
        f"{_beginning(one.type, one.name, one.dimension)}{round(one.value, 3)!r}{end}"
        for one in metrics
        if math.isfinite(one.value)
    ).encode()
    path = metrics_file(profiler, node, at_s)
    with storage_errors(path):
        _append(path, content)


@lru_cache(maxsize=4096)
def _beginning(kind: str, name: str, dimension: str) -> str:
    """Of a line. It is the same in each snapshot, and a machine may have hundreds of cores."""
    unnamed = _UNNAMED.get(kind) == dimension
    fields = {"Type": kind, "Name": name, "Dimension": "" if unnamed else dimension}
    return json.dumps(fields, separators=(",", ":"))[:-1] + ',"Value":'


def _append(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o644)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, flags, 0o644)
    written = 0
    try:
        while written < len(content):
            written += os.write(handle, memoryview(content)[written:])
    except OSError:
        # SageMaker's readers refuse a file with half a line in its middle.
        os.ftruncate(handle, os.fstat(handle).st_size - written)
        raise
    finally:
        os.close(handle)


def failures_file(profiler: Path) -> Path:
    """Where it is said what went wrong with the sampling itself."""
    return profiler / "system" / "failures.jsonl"


def record_failure(profiler: Path, text: str) -> None:
    """Say what went wrong with the sampling itself; never raises."""
    line = json.dumps({"at_us": time.time_ns() // 1000, "text": text}).encode() + b"\n"
    with suppress(OSError):
        _append(failures_file(profiler), line)


Key = tuple[str, str]
"""(dimension, name)."""


class SystemMetrics:
    """Reads one host's system metrics while they grow. One thread uses it."""

    def __init__(self, profiler: Path) -> None:
        """Nothing is read before the first refresh; the folder need not exist yet."""
        self._folder = profiler / "system" / "incremental"
        self._told = failures_file(profiler)
        self._read: dict[Path, int] = {}
        self._times: dict[Key, list[float]] = {}
        self._values: dict[Key, list[float]] = {}
        self._failures: list[str] = []
        self.nodes: set[str] = set()

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        Raises:
            OSError: a file cannot be read.
        """
        new = False
        for path in sorted(self._folder.glob("*/*.json")):
            for event in _events(self._new_lines(path)):
                new = self._take(event) or new
        if self._told.exists():
            for line in self._new_lines(self._told):
                with suppress(ValueError, KeyError, TypeError):
                    self._failures.append(str(json.loads(line)["text"]))
                    new = True
        return new

    def _new_lines(self, path: Path) -> list[bytes]:
        """The whole lines that were not read yet."""
        read = self._read.get(path, 0)
        if path.stat().st_size <= read:
            return []
        with path.open("rb") as file:
            file.seek(read)
            content = file.read()
        whole = content.rfind(b"\n") + 1
        self._read[path] = read + whole
        return content[:whole].splitlines()

    def _take(self, event: Any) -> bool:
        try:
            dimension = str(event.get("Dimension") or _UNNAMED.get(event["Type"], ""))
            key = (dimension, str(event.get("Name") or dimension))
            at, value = float(event["Timestamp"]), float(event["Value"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return False  # not of this format
        self.nodes.add(str(event.get("NodeId", "")))
        self._times.setdefault(key, []).append(at)
        self._values.setdefault(key, []).append(value)
        return True

    @property
    def keys(self) -> tuple[Key, ...]:
        """What was measured, sorted: (dimension, name)."""
        return tuple(sorted(self._times))

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong with the sampling itself."""
        return tuple(dict.fromkeys(self._failures))

    def series(self, dimension: str, name: str) -> tuple[Floats, Floats]:
        """Times in seconds since 1970, rising, and as many values; empty for strangers."""
        import numpy as np

        times = np.asarray(self._times.get((dimension, name), ()), dtype=np.float64)
        values = np.asarray(self._values.get((dimension, name), ()), dtype=np.float64)
        order = np.argsort(times, kind="stable")
        return times[order], values[order]

    def of(self, dimension: str) -> Mapping[str, tuple[Floats, Floats]]:
        """All series of a dimension, by name."""
        return {name: self.series(dimension, name) for held, name in self.keys if held == dimension}


def _events(lines: Sequence[bytes]) -> Iterator[Any]:
    """What stands in lines; one that a full disk has cut off is left out."""
    try:
        # Hours of samples are a million lines: decoded together they take a third of the time.
        yield from json.loads(b"[" + b",".join(lines) + b"]")
    except ValueError:
        for line in lines:
            with suppress(ValueError):
                yield json.loads(line)


if TYPE_CHECKING:
    Floats = npt.NDArray[np.float64]
