"""What a machine does: its cores, memory, network and disks, between two looks.

On Linux the counters are read from /proc by hand, which costs less than half of what psutil takes
for them; elsewhere psutil reads them. Rates are differences of counters over the monotonic clock,
so that neither a changed clock nor a late look falsifies them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from clary.formats.system_metrics import Metric
from clary.profiler.sampling.proc_files import content_of

_SECTOR_BYTES = 512
_LOOPBACK = frozenset({"lo", "lo0"})
_CORE_FIELDS = 8  # user, nice, system, idle, iowait, irq, softirq, steal; guests are in user


class CoreTimes(NamedTuple):
    """Of one core since the machine began, in whatever unit: only shares of it are used.

    `waiting` is idle while a disk is waited for, None where the system does not count it; `idle`
    is without it.
    """

    total: float
    idle: float
    waiting: float | None


class Traffic(NamedTuple):
    """Bytes since the machine began, in and out, and how many transfers."""

    inward: int
    outward: int
    transfers: int = 0


@dataclass(frozen=True)
class MachineCounters:
    """All counters at one moment. `memory_percent` is what is in use and cannot be had back."""

    cores: Mapping[str, CoreTimes]
    memory_percent: float | None
    network: Mapping[str, Traffic]
    disks: Mapping[str, Traffic]


class Machine:
    """Measures the machine from one look to the next. One thread uses it."""

    def __init__(self, read: Callable[[], MachineCounters] | None = None) -> None:
        """Nothing is read before the first look.

        Args:
            read: reads the counters; what fits this system by default.
        """
        self._read = read or (read_proc if sys.platform == "linux" else read_psutil)
        self._before: tuple[float, MachineCounters] | None = None

    def look(self) -> list[Metric]:
        """What happened since the look before; of the first one, what needs no earlier.

        Raises:
            OSError: the system does not let its counters be read.
        """
        at, now = time.monotonic(), self._read()
        metrics = []
        if self._before is not None:
            earlier, before = self._before
            metrics += _core_metrics(before.cores, now.cores)
            metrics += _traffic_metrics(before, now, at - earlier)
        if now.memory_percent is not None:
            metrics.append(Metric("memory", "MemoryUsedPercent", "Memory", now.memory_percent))
        self._before = at, now
        return metrics


def _core_metrics(before: Mapping[str, CoreTimes], now: Mapping[str, CoreTimes]) -> list[Metric]:
    metrics = []
    for name, core in now.items():
        earlier = before.get(name)
        if earlier is None or (total := core.total - earlier.total) <= 0:
            continue  # just switched on
        idle = core.idle - earlier.idle
        waiting = 0.0
        if core.waiting is not None and earlier.waiting is not None:
            # Linux lets this counter fall now and then.
            waiting = max(0.0, core.waiting - earlier.waiting)
            metrics.append(Metric("cpu", name, "I/OWaitPercentage", _percent(waiting, total)))
        busy = _percent(total - idle - waiting, total)
        metrics.append(Metric("cpu", name, "CPUUtilization", busy))
    return metrics


def _percent(part: float, whole: float) -> float:
    return min(100.0, max(0.0, 100.0 * part / whole))


def _traffic_metrics(before: MachineCounters, now: MachineCounters, seconds: float) -> list[Metric]:
    if seconds <= 0:
        return []
    network, disks = _passed(before.network, now.network), _passed(before.disks, now.disks)
    return [
        Metric("network", "ReceiveBytesPerSecond", "Algorithm", network.inward / seconds),
        Metric("network", "TransmitBytesPerSecond", "Algorithm", network.outward / seconds),
        Metric("i/o", "ReadThroughputInBytesPerSecond", "Disk", disks.inward / seconds),
        Metric("i/o", "WriteThroughputInBytesPerSecond", "Disk", disks.outward / seconds),
        Metric("i/o", "IOPS", "Disk", disks.transfers / seconds),
    ]


def _passed(before: Mapping[str, Traffic], now: Mapping[str, Traffic]) -> Traffic:
    """Of all devices that were there both times; one that begins to count anew counts nothing."""
    passed = [
        [max(0, one - other) for one, other in zip(traffic, before[name], strict=True)]
        for name, traffic in now.items()
        if name in before
    ]
    return Traffic(*(sum(column) for column in zip(*passed, strict=True))) if passed else _NOTHING


_NOTHING = Traffic(0, 0, 0)


def read_proc() -> MachineCounters:
    """Linux's counters.

    Raises:
        OSError: /proc cannot be read.
    """
    cores = {}
    # Far behind the cores stands a line that is long where there are many interrupts.
    for line in content_of("/proc/stat").partition(b"\nintr")[0].splitlines():
        name, *fields = line.split()
        if name.startswith(b"cpu") and name != b"cpu":
            times = [int(field) for field in fields[:_CORE_FIELDS]]
            cores[name.decode()] = CoreTimes(sum(times), times[3], times[4])
    network = {}
    for line in content_of("/proc/net/dev").splitlines()[2:]:
        interface, _, rest = line.partition(b":")
        fields = rest.split()
        if (card := interface.strip().decode()) not in _LOOPBACK:
            network[card] = Traffic(int(fields[0]), int(fields[8]))
    disks = {}
    for line in content_of("/proc/diskstats").splitlines():
        _, _, device, rest = line.split(None, 3)
        if _is_disk(device):
            reads, _, read, _, writes, _, written, *_ = map(int, rest.split())
            transfers = Traffic(read * _SECTOR_BYTES, written * _SECTOR_BYTES, reads + writes)
            disks[device.decode()] = transfers
    return MachineCounters(cores, _proc_memory_percent(), network, disks)


def _proc_memory_percent() -> float | None:
    sizes = {}
    for line in content_of("/proc/meminfo").splitlines():
        name, _, rest = line.partition(b":")
        if name in {b"MemTotal", b"MemAvailable"}:
            sizes[name] = int(rest.split()[0])
            if len(sizes) == 2:
                return _percent(sizes[b"MemTotal"] - sizes[b"MemAvailable"], sizes[b"MemTotal"])
    return None


@cache
def _is_disk(device: bytes) -> bool:
    """Whether it is a device itself: no part of one, no layer above one, none in memory."""
    return Path(f"/sys/block/{device.decode()}/device").exists()


def read_psutil() -> MachineCounters:
    """The counters of any system that psutil knows.

    Raises:
        OSError: the system does not give them.
    """
    import psutil

    cores = {}
    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        fields = times._asdict()
        inside = fields.get("guest", 0.0) + fields.get("guest_nice", 0.0)
        total = sum(fields.values()) - inside
        cores[f"cpu{number}"] = CoreTimes(total, times.idle, fields.get("iowait"))
    network = {
        name: Traffic(one.bytes_recv, one.bytes_sent)
        for name, one in psutil.net_io_counters(pernic=True).items()
        if name not in _LOOPBACK
    }
    disks = {
        name: Traffic(one.read_bytes, one.write_bytes, one.read_count + one.write_count)
        for name, one in (psutil.disk_io_counters(perdisk=True) or {}).items()
        if sys.platform != "linux" or _is_disk(name.encode())
    }
    return MachineCounters(cores, psutil.virtual_memory().percent, network, disks)
