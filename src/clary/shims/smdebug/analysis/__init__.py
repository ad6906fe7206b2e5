"""How trials are read in notebooks."""

from __future__ import annotations

import sys

from . import refreshing

# AWS's name of the module.
sys.modules[f"{__name__}.utils"] = refreshing
utils = refreshing
