"""Which GPUs this machine has, asked of the driver; torch is never loaded here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import takewhile


@dataclass(frozen=True)
class Gpu:
    """One GPU as the driver shows it; `trouble` is why it tells nothing of itself."""

    name: str
    memory_bytes: int = 0
    trouble: str = ""


@dataclass(frozen=True)
class GpuDriver:
    """The driver, the CUDA up to which it runs programs (major, minor), and its GPUs.

    `trouble` is why there are none, where there is a driver that should have shown some.
    """

    driver: str = ""
    cuda: tuple[int, int] = (0, 0)
    gpus: tuple[Gpu, ...] = ()
    trouble: str = ""


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


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that a process may use, by the names that CUDA_VISIBLE_DEVICES has for them.

    As CUDA reads it: what stands behind a -1 is not seen.
    """
    said = environment.get("CUDA_VISIBLE_DEVICES")
    if said is not None:
        names = takewhile(lambda name: name != "-1", map(str.strip, said.split(",")))
        return [name for name in names if name]
    return [str(number) for number in range(count_gpus())]


def has_visible_gpu(environment: Mapping[str, str]) -> bool:
    """Whether there is a GPU that a process may use."""
    return bool(visible_gpus(environment)) and count_gpus() > 0


def describe_gpus() -> GpuDriver:
    """The driver and its GPUs, and what is wrong with them."""
    import pynvml

    try:
        pynvml.nvmlInit()
        gpus = tuple(_gpu(index) for index in range(int(pynvml.nvmlDeviceGetCount())))
        cuda = int(pynvml.nvmlSystemGetCudaDriverVersion())
        driver = str(pynvml.nvmlSystemGetDriverVersion())
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return GpuDriver()
    except pynvml.NVMLError as error:
        return GpuDriver(trouble=str(error).rstrip("."))
    return GpuDriver(driver, (cuda // 1000, cuda % 1000 // 10), gpus)


def _gpu(index: int) -> Gpu:
    import pynvml

    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        name = str(pynvml.nvmlDeviceGetName(handle))
        return Gpu(name, int(pynvml.nvmlDeviceGetMemoryInfo(handle).total))
    except pynvml.NVMLError as error:
        return Gpu(f"GPU {index}", trouble=str(error).rstrip("."))
