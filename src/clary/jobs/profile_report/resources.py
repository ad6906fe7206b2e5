"""What the machine did: each resource of each host as a series, and in figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from clary.formats.system_metrics import SystemMetrics
from clary.jobs.profile_report.envelopes import Floats
from clary.profiler.profile import Host, Profile
from clary.profiler.wording import size

Unit = Literal["percent", "bytes", "bytes a second", "watts", "degrees"]
Series = tuple[Floats, Floats]

QUANTILES = (("max", 1.0), ("p99", 0.99), ("p95", 0.95), ("p50", 0.5), ("min", 0.0))
"""What the table of the machine shows of each resource, as SageMaker's does."""


@dataclass(frozen=True)
class Resource:
    """Something of a host that was measured over time.

    `key` is short and without blanks; `label` is what a person reads; `whole` says that it is of
    the whole machine, not of the job alone.
    """

    host: str
    key: str
    label: str
    unit: Unit
    times_s: Floats
    values: Floats
    whole: bool = True

    def quantile(self, share: float) -> float:
        """A quantile of the values."""
        return float(np.quantile(self.values, share))

    def text(self, value: float) -> str:
        """A value with its unit."""
        return in_unit(value, self.unit)


def in_unit(value: float, unit: Unit) -> str:
    """A value as a person reads it: `64 %`, `1.2 GB`, `340 kB/s`, `215 W`."""
    if unit == "percent":
        return f"{value:.0f} %" if abs(value) >= 9.95 or value == 0 else f"{value:.1f} %"
    if unit == "bytes":
        return size(value)
    if unit == "bytes a second":
        return f"{size(value)}/s"
    return f"{value:.0f} {'W' if unit == 'watts' else '°C'}"


def resources(profile: Profile) -> tuple[Resource, ...]:
    """All that was measured of all hosts, in the order in which a report shows it."""
    return tuple(one for host in profile.hosts for one in _of_host(host))


def core_series(system: SystemMetrics) -> tuple[Floats, Floats]:
    """The utilisation of each core in percent: times (n,) and values (cores, n).

    Moments at which not all cores were measured are left out; both are empty where none was.
    """
    held = [system.series("CPUUtilization", name) for name in _numbered(system, "CPUUtilization")]
    if not held:
        return np.empty(0), np.empty((0, 0))
    first = held[0][0]
    if all(len(times) == len(first) and np.array_equal(times, first) for times, _ in held):
        return first, np.stack([values for _, values in held])
    common = first
    for times, _ in held[1:]:
        common = np.intersect1d(common, times)
    rows = [values[np.searchsorted(times, common)] for times, values in held]
    return common, np.stack(rows)


def gpu_names(profile: Profile) -> tuple[str, ...]:
    """The GPUs that were measured on any host."""
    found = {name for host in profile.hosts for name in host.system.of("GPUUtilization")}
    return tuple(sorted(found, key=_number))


def mean_by_time(held: list[Series]) -> Series:
    """The mean of several series at each moment at which any of them was measured."""
    if not held:
        return np.empty(0), np.empty(0)
    first = held[0][0]
    if all(len(times) == len(first) and np.array_equal(times, first) for times, _ in held):
        return first, np.asarray(np.mean([values for _, values in held], axis=0))
    times = np.concatenate([one for one, _ in held])
    values = np.concatenate([one for _, one in held])
    moments, place = np.unique(times, return_inverse=True)
    return moments, np.bincount(place, values) / np.bincount(place)


def _of_host(host: Host) -> Iterator[Resource]:
    system = host.system
    cores = max(len(_numbered(system, "CPUUtilization")), 1)

    def made(
        key: str,
        label: str,
        unit: Unit,
        series: Series,
        *,
        whole: bool = True,
        scaled: Callable[[Floats], Floats] = lambda values: values,
    ) -> Iterator[Resource]:
        if len(series[0]):
            yield Resource(host.name, key, label, unit, series[0], scaled(series[1]), whole)

    def summed(dimension: str) -> Series:
        return mean_by_time([system.series(dimension, n) for n in _numbered(system, dimension)])

    yield from made("cpu", "CPU", "percent", summed("CPUUtilization"))
    yield from made(
        "job_cpu",
        "CPU, this job",
        "percent",
        system.series("Process", "CPUUtilization"),
        whole=False,
        scaled=lambda values: values / cores,
    )
    yield from made("io", "I/O wait", "percent", summed("I/OWaitPercentage"))
    yield from made("memory", "Memory", "percent", system.series("Memory", "MemoryUsedPercent"))
    job_memory = _while_there(system.series("Process", "MemoryBytes"))
    yield from made("job_memory", "Memory, this job", "bytes", job_memory, whole=False)
    for name in _numbered(system, "GPUUtilization"):
        number, title = name.removeprefix("gpu"), name.upper().replace("GPU", "GPU ")
        yield from made(f"gpu:{number}", title, "percent", system.series("GPUUtilization", name))
        memory = system.series("GPUMemoryUtilization", name)
        yield from made(f"gpu_memory:{number}", f"{title} memory", "percent", memory)
        power = system.series("PowerWatts", f"power{number}")
        yield from made(f"gpu_power:{number}", f"{title} power", "watts", power)
        heat = system.series("TemperatureCelsius", f"temperature{number}")
        yield from made(f"gpu_temperature:{number}", f"{title} temperature", "degrees", heat)
    for key, label, dimension, name in (
        ("disk_read", "Disk, read", "Disk", "ReadThroughputInBytesPerSecond"),
        ("disk_written", "Disk, written", "Disk", "WriteThroughputInBytesPerSecond"),
        ("received", "Network, received", "Algorithm", "ReceiveBytesPerSecond"),
        ("sent", "Network, sent", "Algorithm", "TransmitBytesPerSecond"),
    ):
        yield from made(key, label, "bytes a second", system.series(dimension, name))


def _while_there(series: Series) -> Series:
    """Without the moments at which the job had no process."""
    times, values = series
    return times[values > 0], values[values > 0]


def _numbered(system: SystemMetrics, dimension: str) -> list[str]:
    names = (name for held, name in system.keys if held == dimension)
    return sorted(names, key=_number)


def _number(name: str) -> tuple[int, str]:
    digits = "".join(letter for letter in name if letter.isdigit())
    return (int(digits) if digits else 0, name)
