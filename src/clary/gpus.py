"""How many GPUs this machine has, asked of the driver; torch is never loaded here."""

from __future__ import annotations

from functools import cache


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
