"""What a training has saved, for notebooks and rules."""

from __future__ import annotations

import sys

from . import opening
from .opening import create_trial
from .trial import Trial

# AWS's name of the module.
utils = opening
sys.modules[f"{__name__}.utils"] = opening

__all__ = ["Trial", "create_trial"]
