"""Which instance types have GPUs on AWS."""

from __future__ import annotations

import re

_GPU_TYPE = re.compile(r"ml\.(?:p|g|trn|inf)\d")


def is_gpu_type(instance_type: str) -> bool:
    """Whether an instance type has accelerators on AWS."""
    return _GPU_TYPE.match(instance_type) is not None
