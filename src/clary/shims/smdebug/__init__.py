"""The `smdebug` import name: scripts and notebooks of SageMaker's debugger run on Clary's own.

Ahead of any installed smdebug in jobs, in `clary exec`, `clary env` and `%load_ext clary`.

    smdebug.pytorch         the hook, for training scripts
    smdebug.trials          what it has saved, for notebooks
    smdebug.rules           one's own rules
    smdebug.exceptions      what reading raises
    smdebug.core            modes, configurations, collections, tensors

Runs in anybody's interpreter: Python 3.10 or later; trials need numpy, and boto3 for S3; the hook
needs torch. Names, steps and semantics are AWS's; what is not offered is refused by name.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 10):  # noqa: UP036 - anybody's interpreter
    raise ImportError(
        "Clary's smdebug runs on Python 3.10 or later, and this is "
        f"{sys.version_info[0]}.{sys.version_info[1]}: use a later interpreter"
    )

from .source import find_clary

find_clary()

from .core.collection import CollectionKeys  # noqa: E402
from .core.modes import ModeKeys as modes  # noqa: E402, N813 - AWS's name
from .core.reduction_config import ReductionConfig  # noqa: E402
from .core.save_config import SaveConfig, SaveConfigMode  # noqa: E402

__all__ = ["CollectionKeys", "ReductionConfig", "SaveConfig", "SaveConfigMode", "modes"]
__version__ = "1.0.34"
"""The release of the original whose interface this is."""
