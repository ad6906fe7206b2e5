"""Refused by name: Clary's debugger watches PyTorch."""

from __future__ import annotations

raise ImportError(
    "smdebug.mxnet is not offered: Clary's debugger watches PyTorch, so use smdebug.pytorch"
)
