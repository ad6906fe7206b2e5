"""Which of several processes that train together this one is."""

from __future__ import annotations

import json
import os

import torch


def rank() -> int:
    """From torch.distributed where it is used, else as torchrun says; 0 for a process alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank()
    text = os.environ.get("RANK", "0")
    return int(text) if text.isdecimal() else 0


def worker_name() -> str:
    """As SageMaker's debugger calls this process.

    Hosts of one job that train each for itself are told apart: their tensors meet in S3.
    """
    return f"worker_{_host() if _alone() else rank()}"


def captures(include_workers: str) -> bool:
    """Whether this process captures, when `one` or `all` of them do."""
    return include_workers == "all" or rank() == 0


def _alone() -> bool:
    """Whether nothing says that other processes train together with this one."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return not distributed and not os.environ.get("RANK", "").isdecimal()


def _host() -> int:
    """The place of this host among those of the job; 0 where nobody tells."""
    try:
        return int(json.loads(os.environ["SM_HOSTS"]).index(os.environ["SM_CURRENT_HOST"]))
    except (KeyError, ValueError, AttributeError):
        return 0
