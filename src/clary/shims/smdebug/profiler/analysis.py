"""Refused by name: here are tensors and rules."""

from __future__ import annotations

raise ImportError(
    "smdebug.profiler.analysis is not offered: Clary's smdebug has the hook (smdebug.pytorch), "
    "trials (smdebug.trials) and rules (smdebug.rules)"
)
