"""Opens a trial: a folder, or a prefix on S3."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from clary.debugger.history import History

from ..core.logger import get_logger
from ..exceptions import (
    MissingCollectionFiles,
    SMDebugNotImplementedError,
    SMDebugTypeError,
)
from .trial import Trial

_POLL_SECONDS = 0.5
_SAY_SECONDS = 20.0


def create_trial(
    path: str | os.PathLike[str],
    name: str | None = None,
    profiler: bool = False,
    range_steps: tuple[int | None, int | None] | None = None,
    **_ignored: Any,
) -> Trial:
    """Open what a training has saved, by Clary's hook or by AWS's; waits for its first data.

    Args:
        path: a folder, or `s3://bucket/prefix` such as
            `estimator.latest_job_debugger_artifacts_path()`.
        name: shown to people; the last part of the path otherwise.
        profiler: refused if true.
        range_steps: the first step that counts, and the one before which it ends.

    Raises:
        MissingCollectionFiles: the training has ended, and nothing was saved.
        SMDebugNotImplementedError: a profiler's trial is asked for, or a place of another kind.
        SMDebugTypeError: the path is none, as that of an estimator without a hook.
    """
    if profiler:
        raise SMDebugNotImplementedError(
            "create_trial(profiler=True) is not offered: Clary's smdebug opens tensors"
        )
    if not isinstance(path, (str, os.PathLike)):
        raise SMDebugTypeError(
            f"the path is {path!r}: give a folder or s3://bucket/prefix; an estimator has one "
            "where its debugger_hook_config is not False"
        )
    place = os.fspath(path).strip().rstrip("/")
    if "://" in place and not place.startswith("s3://"):
        raise SMDebugNotImplementedError(
            f"the path is {place!r}: give a folder without a scheme, or s3://bucket/prefix"
        )
    history = History.open(place if "://" in place else Path(place).expanduser())
    _wait_for_data(history, place)
    return Trial(history, name or place.rsplit("/", 1)[-1], place, range_steps)


def _wait_for_data(history: History, place: str) -> None:
    said = 0.0
    while not history.collections and not history.steps():
        if history.ended:
            raise MissingCollectionFiles(place)
        if time.monotonic() - said > _SAY_SECONDS:
            said = time.monotonic()
            get_logger().warning("%s holds no tensors yet: waiting for its training", place)
        time.sleep(_POLL_SECONDS)
        history.refresh()
