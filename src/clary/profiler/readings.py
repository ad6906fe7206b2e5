"""What the machine of a host did in a stretch of time, out of its samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from clary.profiler.intervals import Floats
from clary.profiler.profile import Host

FOREVER = (-np.inf, np.inf)
Stretch = tuple[float, float]


class Samples(NamedTuple):
    """Times in seconds since 1970, rising, and as many values."""

    times: Floats
    values: Floats

    def mean(self) -> float | None:
        """None where nothing was sampled."""
        return float(self.values.mean()) if len(self.values) else None

    def at(self, times: Floats) -> Floats:
        """The values at other times, interpolated; there must be some."""
        return np.interp(times, self.times, self.values)


NOTHING = Samples(np.empty(0), np.empty(0))


def samples(host: Host, dimension: str, name: str, stretch: Stretch = FOREVER) -> Samples:
    """One series in a stretch of time."""
    return _cut(Samples(*host.system.series(dimension, name)), stretch)


def all_samples(host: Host, dimension: str, stretch: Stretch = FOREVER) -> dict[str, Samples]:
    """All series of a dimension, by name; empty ones are left out."""
    found = {name: _cut(Samples(*one), stretch) for name, one in host.system.of(dimension).items()}
    return {name: one for name, one in found.items() if len(one.times)}


def mean_of_all(host: Host, dimension: str, stretch: Stretch = FOREVER) -> Samples:
    """The mean over all names, such as all cores, of each snapshot."""
    return mean_of(all_samples(host, dimension, stretch))


def mean_of(series: Mapping[str, Samples]) -> Samples:
    """The mean over several series of each moment at which any was sampled."""
    if not series:
        return NOTHING
    times = np.concatenate([one.times for one in series.values()])
    values = np.concatenate([one.values for one in series.values()])
    moments, which = np.unique(times, return_inverse=True)
    counts = np.bincount(which)
    return Samples(moments, np.bincount(which, weights=values) / counts)


def cpu(host: Host, stretch: Stretch = FOREVER) -> Samples:
    """Percent of all cores of the machine."""
    return mean_of_all(host, "CPUUtilization", stretch)


def io_wait(host: Host, stretch: Stretch = FOREVER) -> Samples:
    """Percent of the time of all cores that waited for disks."""
    return mean_of_all(host, "I/OWaitPercentage", stretch)


def gpus(host: Host, stretch: Stretch = FOREVER) -> dict[str, Samples]:
    """Percent of the time in which each GPU worked."""
    return all_samples(host, "GPUUtilization", stretch)


def gpu_memory(host: Host, stretch: Stretch = FOREVER) -> dict[str, Samples]:
    """Percent of the memory of each GPU that is in use."""
    return all_samples(host, "GPUMemoryUtilization", stretch)


def memory(host: Host, stretch: Stretch = FOREVER) -> Samples:
    """Percent of the machine's memory that is in use."""
    return samples(host, "Memory", "MemoryUsedPercent", stretch)


def resident(host: Host, stretch: Stretch = FOREVER) -> Samples:
    """Bytes of memory of all processes of the job."""
    return samples(host, "Process", "MemoryBytes", stretch)


def cores_used(host: Host, stretch: Stretch = FOREVER) -> float | None:
    """How many cores the job's processes kept busy on average; None where that is not known."""
    found = samples(host, "Process", "CPUUtilization", stretch).mean()
    return None if found is None else found / 100


def _cut(whole: Samples, stretch: Stretch) -> Samples:
    begin, end = (
        np.searchsorted(whole.times, stretch[0]),
        np.searchsorted(whole.times, stretch[1], side="right"),
    )
    return Samples(whole.times[begin:end], whole.values[begin:end])
