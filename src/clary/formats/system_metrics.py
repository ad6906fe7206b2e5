"""System metrics as SageMaker lays them out: JSON lines, a file for each minute and host.

    profiler/system/incremental/<YYYYMMDDHH>/<minute, seconds since 1970>.<node>.json

    {"Type":"cpu","Name":"cpu0","Dimension":"CPUUtilization","Value":97.5,"NodeId":"algo-1",
     "Timestamp":1591748109.23}

| Type     | Name                | Dimension              | Value                                |
|----------|---------------------|------------------------|--------------------------------------|
| cpu      | cpu<n>              | CPUUtilization         | percent of the core                  |
| cpu      | cpu<n>              | I/OWaitPercentage      | percent of the core                  |
| memory   | MemoryUsedPercent   | Memory                 | percent of the host's                |
| gpu      | gpu<n>              | GPUUtilization         | percent                              |
| gpu      | gpu<n>              | GPUMemoryUtilization   | percent of its memory that is in use |
| gpu      | gpu<n>              | GPUPower               | watts (Clary's own)                  |
| gpu      | gpu<n>              | GPUTemperature         | degrees Celsius (Clary's own)        |
| network  | BytesSent, BytesReceived | Algorithm         | bytes a second, of the host          |
| disk     | BytesRead, BytesWritten  | Disk              | bytes a second, of the host (own)    |
| process  | CPUUtilization      | Process                | percent of one core, of the job      |
| process  | MemoryBytes         | Process                | resident bytes of the job            |
| process  | BytesRead, BytesWritten  | Process           | bytes a second from and to disks     |
| process  | Processes, Threads  | Process                | how many the job has                 |

What is Clary's own has a Type or Dimension of its own, which SageMaker's readers pass over. Times
are UTC; the values of one snapshot bear one Timestamp.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clary.formats.files import storage_errors

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

INTERVALS_MS = (100, 200, 500, 1000, 5000, 60000)
"""What SageMaker allows."""
DEFAULT_INTERVAL_MS = 500


class Metric(NamedTuple):
    """One number of a snapshot."""

    type: str
    name: str
    dimension: str
    value: float


def metrics_file(profiler: Path, node: str, at_s: float) -> Path:
    """The file that holds a moment, in seconds since 1970."""
    minute = int(at_s) // 60 * 60
    hour = time.strftime("%Y%m%d%H", time.gmtime(minute))
    return profiler / "system" / "incremental" / hour / f"{minute}.{node}.json"


def append_snapshot(profiler: Path, node: str, at_s: float, metrics: Iterable[Metric]) -> None:
    """Add what was measured at one moment, in one write.

    Raises:
        StorageError: the folder cannot be written.
    """
    lines = [
        json.dumps(
            {
                "Type": one.type,
                "Name": one.name,
                "Dimension": one.dimension,
                "Value": round(one.value, 3),
                "NodeId": node,
                "Timestamp": round(at_s, 6),
            },
            separators=(",", ":"),
        )
        for one in metrics
    ]
    path = metrics_file(profiler, node, at_s)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())


Key = tuple[str, str]
"""(dimension, name)."""


class SystemMetrics:
    """Reads one host's system metrics while they grow. One thread uses it."""

    def __init__(self, profiler: Path) -> None:
        """Nothing is read before the first refresh; the folder need not exist yet."""
        self._folder = profiler / "system" / "incremental"
        self._read: dict[Path, int] = {}
        self._times: dict[Key, list[float]] = {}
        self._values: dict[Key, list[float]] = {}
        self.nodes: set[str] = set()

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        Raises:
            OSError: a file cannot be read.
        """
        new = False
        for path in sorted(self._folder.glob("*/*.json")):
            read = self._read.get(path, 0)
            if path.stat().st_size <= read:
                continue
            with path.open("rb") as file:
                file.seek(read)
                content = file.read()
            whole = content.rfind(b"\n") + 1
            self._read[path] = read + whole
            for line in content[:whole].splitlines():
                new = self._take(line) or new
        return new

    def _take(self, line: bytes) -> bool:
        try:
            event = json.loads(line)
            key = (str(event["Dimension"]), str(event.get("Name") or event["Dimension"]))
            at, value = float(event["Timestamp"]), float(event["Value"])
        except (ValueError, KeyError, TypeError):
            return False  # a line that a full disk has cut off
        self.nodes.add(str(event.get("NodeId", "")))
        self._times.setdefault(key, []).append(at)
        self._values.setdefault(key, []).append(value)
        return True

    @property
    def keys(self) -> tuple[Key, ...]:
        """What was measured, sorted: (dimension, name)."""
        return tuple(sorted(self._times))

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


if TYPE_CHECKING:
    Floats = npt.NDArray[np.float64]
