"""What the GPUs of a machine do, asked of NVIDIA's driver."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from clary.formats.system_metrics import Metric

_LIBRARY = "libnvidia-ml.so.1"


class Gpus:
    """Measures all GPUs that the driver shows; none where there is no driver. One thread uses it.

    What a GPU does not tell (parts of one, some of notebooks) is not asked again. A GPU that fails
    is told of once, and the others are measured on.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Ask the driver for its GPUs.

        Args:
            tell: what goes wrong, in a sentence.
        """
        self._tell = tell
        self._told: set[str] = set()
        self._handles: list[Any] = []
        self._untold: set[tuple[str, int]] = set()
        self._driver: Any = None
        if _has_driver():
            self._begin()

    def _begin(self) -> None:
        import pynvml

        try:
            pynvml.nvmlInit()
            self._driver = pynvml
            count = int(pynvml.nvmlDeviceGetCount())
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
        except (
            pynvml.NVMLError_LibraryNotFound,
            pynvml.NVMLError_DriverNotLoaded,
        ):
            return  # a library that was left behind by a driver, or comes with a container
        except pynvml.NVMLError as error:
            self._refused("the GPUs are", error)

    def look(self) -> list[Metric]:
        """What all GPUs do at this moment; their utilisation, over the driver's last period."""
        metrics: list[Metric] = []
        for number, handle in enumerate(self._handles):
            for what, measure in _MEASURES.items():
                if (what, number) not in self._untold:
                    metrics += self._measured(what, measure, number, handle)
        return metrics

    def _measured(self, what: str, measure: Measure, number: int, handle: Any) -> list[Metric]:
        try:
            return [measure(self._driver, handle, number)]
        except (self._driver.NVMLError_NotSupported, self._driver.NVMLError_FunctionNotFound):
            self._untold.add((what, number))
        except self._driver.NVMLError as error:
            self._refused(f"the {what} of GPU {number} is", error)
        return []

    def _refused(self, what: str, error: Exception) -> None:
        text = f"{what} not measured, because the driver says: {str(error).rstrip('.')}"
        if text not in self._told:
            self._told.add(text)
            self._tell(text)

    def close(self) -> None:
        """Let go of the driver."""
        if self._driver is not None:
            with suppress(self._driver.NVMLError):
                self._driver.nvmlShutdown()
            self._driver = None
            self._handles = []


def _has_driver() -> bool:
    """Whether there may be one: loading the bindings takes longer than asking this."""
    if sys.platform != "linux":
        return sys.platform == "win32"
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    return True


Measure = Callable[[Any, Any, int], Metric]


def _utilization(driver: Any, handle: Any, number: int) -> Metric:
    used = driver.nvmlDeviceGetUtilizationRates(handle)
    return Metric("gpu", f"gpu{number}", "GPUUtilization", float(used.gpu))


def _memory(driver: Any, handle: Any, number: int) -> Metric:
    memory = driver.nvmlDeviceGetMemoryInfo(handle)
    percent = 100.0 * memory.used / memory.total if memory.total else 0.0
    return Metric("gpu", f"gpu{number}", "GPUMemoryUtilization", percent)


def _power(driver: Any, handle: Any, number: int) -> Metric:
    watts = driver.nvmlDeviceGetPowerUsage(handle) / 1000.0
    return Metric("device", f"power{number}", "PowerWatts", watts)


def _temperature(driver: Any, handle: Any, number: int) -> Metric:
    celsius = driver.nvmlDeviceGetTemperature(handle, driver.NVML_TEMPERATURE_GPU)
    return Metric("device", f"temperature{number}", "TemperatureCelsius", float(celsius))


_MEASURES: dict[str, Measure] = {
    "utilisation": _utilization,
    "memory": _memory,
    "power": _power,
    "temperature": _temperature,
}
