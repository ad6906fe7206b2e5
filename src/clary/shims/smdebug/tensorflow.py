"""Refused by name: Clary's debugger watches PyTorch."""

from __future__ import annotations

raise ImportError(
    "smdebug.tensorflow is not offered: Clary's debugger watches PyTorch, so use smdebug.pytorch"
)
