"""Whether this machine has a GPU, asked of the driver; torch is never loaded here."""

from __future__ import annotations

import pynvml


def has_gpu() -> bool:
    """Whether the driver shows any; False where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    try:
        return bool(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()
