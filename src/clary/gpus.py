"""Which GPUs this machine has, asked of the driver; torch is never loaded here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Gpu:
    """One GPU as the driver shows it."""

    name: str
    memory_bytes: int


@dataclass(frozen=True)
class GpuDriver:
    """The driver, the CUDA up to which it runs programs (major, minor), and its GPUs."""

    driver: str = ""
    cuda: tuple[int, int] = (0, 0)
    gpus: tuple[Gpu, ...] = ()


@cache
def count_gpus() -> int:
    """The GPUs that the driver shows; 0 where there is no driver.

    The library stays open for whoever asks the driver for more.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0


def describe_gpus() -> GpuDriver:
    """The GPUs by name; none where there is no driver, or it does not answer."""
    if not count_gpus():
        return GpuDriver()
    import pynvml

    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count_gpus())]
        gpus = tuple(
            Gpu(
                str(pynvml.nvmlDeviceGetName(handle)),
                int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
            )
            for handle in handles
        )
        cuda = int(pynvml.nvmlSystemGetCudaDriverVersion())
        driver = str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return GpuDriver()
    return GpuDriver(driver, (cuda // 1000, cuda % 1000 // 10), gpus)
