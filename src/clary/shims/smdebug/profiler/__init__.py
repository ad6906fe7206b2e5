"""What scripts take from the profiler's modules. The profiler itself is not offered here."""

from __future__ import annotations

import sys

from . import words

# AWS's name of the module.
utils = words
sys.modules[f"{__name__}.utils"] = words
