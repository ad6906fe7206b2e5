"""What scripts give a hook, checked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from clary.errors import FormatError
from clary.formats.tensor_log import TensorLog
from clary.formats.tensor_log.layout import TRAINING_END

from ..exceptions import (
    SMDebugNotImplementedError,
    SMDebugRuntimeError,
    SMDebugTypeError,
)

JOB_VARIABLE = "TRAINING_JOB_NAME"
_PLATFORM = Path("/opt/ml")


def of_this_job(path: Path) -> Path:
    """Where a job's own path is on a machine that cannot give each job an /opt/ml of its own."""
    base = os.environ.get("SAGEMAKER_BASE_DIR")
    if not base or not path.is_relative_to(_PLATFORM):
        return path
    return Path(base) / path.relative_to(_PLATFORM)


def output_folder(out_dir: str | None, *, written: bool = True) -> Path:
    """The folder that a hook writes.

    Args:
        out_dir: as it is given.
        written: whether the hook saves anything there; otherwise it may hold whatever it does.

    Raises:
        SMDebugRuntimeError: it holds a training that has ended, or is missing.
        SMDebugNotImplementedError: it is on S3.
    """
    if out_dir is None:
        raise SMDebugRuntimeError("a hook needs out_dir: give a folder")
    if str(out_dir).startswith("s3://"):
        raise SMDebugNotImplementedError(
            f"out_dir is {out_dir!r}: give a folder; what a job saves is brought to S3 as it grows"
        )
    folder = Path(out_dir).expanduser()
    if written and folder.is_dir() and _has_ended(folder):
        raise SMDebugRuntimeError(
            f"{folder} holds a training that has ended: give a folder that is not there yet"
        )
    return folder


def _has_ended(folder: Path) -> bool:
    if os.environ.get(JOB_VARIABLE):
        # A job may have several hooks, one after another: the platform says when it has ended.
        return (folder / TRAINING_END).exists()
    try:
        return TensorLog(folder).ended
    except FormatError:
        # The hook says what it is, and lets go of the training.
        return False


def flat(given: Any) -> Iterable[str]:
    """The texts of a text, or of lists in lists."""
    for one in [given] if isinstance(given, str) else given:
        if isinstance(one, str):
            yield one
        else:
            yield from flat(one)


def number(name: str, value: Any) -> float:
    """A single number of whatever kind.

    Raises:
        SMDebugTypeError: it is none.
    """
    held = value.detach() if isinstance(value, torch.Tensor) else value
    try:
        tensor = torch.as_tensor(held, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SMDebugTypeError(f"scalar {name!r} is {value!r}: give one number") from error
    if tensor.numel() != 1:
        raise SMDebugTypeError(
            f"scalar {name!r} has {tensor.numel()} values: give one number, or use save_tensor"
        )
    return float(tensor.item())
