"""How many GPUs this machine has, asked of the driver; torch is never loaded here."""

from __future__ import annotations

import re
from functools import cache

_GPU_TYPE = re.compile(r"ml\.(?:p|g|trn|inf)\d")


@cache
def count_gpus() -> int:
    """The GPUs that the driver shows; 0 where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0


def is_gpu_type(instance_type: str) -> bool:
    """Whether an instance type has accelerators on AWS."""
    return _GPU_TYPE.match(instance_type) is not None
