"""Which of several processes that train together this one is."""

from __future__ import annotations

import os

import torch


def rank() -> int:
    """From torch.distributed where it is used, else as torchrun says; 0 for a process alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank()
    text = os.environ.get("RANK", "0")
    return int(text) if text.isdecimal() else 0


def worker_name() -> str:
    """As SageMaker's debugger calls this process."""
    return f"worker_{rank()}"


def captures(include_workers: str) -> bool:
    """Whether this process captures, when `one` or `all` of them do."""
    return include_workers == "all" or rank() == 0
