"""How much of its time a training does not wait for its data."""

from __future__ import annotations

import numpy as np

from clary.profiler.intervals import Floats, Intervals
from clary.profiler.profile import Host
from clary.profiler.readings import NOTHING, Samples, Stretch, cpu
from clary.profiler.step_times import of_records

_MOSTLY = 60.0
_LEAST_SAMPLES = 4


def step_use(host: Host, times: Floats) -> Samples:
    """Percent of the time before each of `times` in which a host's first process did not wait.

    What stands for a GPU's use where there is none: the training is idle while it waits for its
    data.
    """
    worker = next(iter(host.workers.values()), None)
    if worker is None or len(times) < 2:
        return NOTHING
    steps = of_records(worker.steps(), worker.spans)
    waits = Intervals.of(steps.starts_s, steps.starts_s + steps.phases_s[:, 0])
    before = times - float(np.median(np.diff(times)))
    waited = waits.within(before, times) / np.maximum(times - before, 1e-9)
    return Samples(times, 100 * (1 - np.clip(waited, 0.0, 1.0)))


def cpu_while_waiting(host: Host, stretch: Stretch) -> float | None:
    """Percent of all cores that are busy while the training waits for its data.

    Of the samples in which it mostly waits; of all samples of the stretch where there are hardly
    such, because steps are shorter than what lies between two samples. None where it is not known.
    """
    busy = cpu(host, stretch)
    waits = 100 - step_use(host, busy.times).values
    mostly = waits >= _MOSTLY
    if len(waits) and mostly.sum() >= _LEAST_SAMPLES:
        return float(np.average(busy.values[mostly], weights=waits[mostly]))
    return busy.mean()
