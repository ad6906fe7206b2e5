"""What processes use of this machine's GPUs, asked of the driver."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from clary.gpus import count_gpus


@dataclass(frozen=True)
class GpuUse:
    """The sum over all GPUs, in percent: 100 for each that is full."""

    utilization: float
    memory: float


def gpu_use(pids: Collection[int]) -> GpuUse | None:
    """What these processes use; None when there is no GPU or the driver does not say.

    A GPU counts whole when one of the processes computes on it, and when the driver names no
    processes at all, as in containers: AWS's instances belong to one job, too.
    """
    if not count_gpus():
        return None
    import pynvml

    utilization = memory = 0.0
    try:
        for index in range(count_gpus()):
            device = pynvml.nvmlDeviceGetHandleByIndex(index)
            computing = {
                process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(device)
            }
            if computing and computing.isdisjoint(pids):
                continue
            taken = pynvml.nvmlDeviceGetMemoryInfo(device)
            memory += 100 * taken.used / taken.total
            utilization += pynvml.nvmlDeviceGetUtilizationRates(device).gpu
    except pynvml.NVMLError:
        return None
    return GpuUse(utilization, memory)
