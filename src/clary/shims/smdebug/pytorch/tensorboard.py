"""Event files for TensorBoard: whether they are wanted, and writing them at the end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from clary.debugger.configuration import DEFAULT_FOLDER
from clary.debugger.history import History
from clary.debugger.parameters import flag
from clary.debugger.tensorboard import write_event_files
from clary.errors import ClaryError
from clary.formats.files import read_json

from ..core.logger import get_logger
from .arguments import JOB_VARIABLE

OUTPUT_VARIABLE = "TENSORBOARD_CONFIG_FILE_PATH"
_OUTPUT_FILE = "tensorboardoutputconfig.json"
_DEFAULT = Path("/opt/ml/output/tensorboard")


class Board(NamedTuple):
    """Event files that a job wants: their folder, and whether the hook writes them."""

    folder: Path
    by_hook: bool = True


def board_of_job(hook_file: Path) -> Board | None:
    """The event files that a job wants; None where it wants none.

    Args:
        hook_file: its `debughookconfig.json`; `tensorboardoutputconfig.json` is beside it.

    Raises:
        FormatError: one of both is damaged.
        UsageError: `export_tensorboard` is neither true nor false.
    """
    output = Path(os.environ.get(OUTPUT_VARIABLE) or hook_file.with_name(_OUTPUT_FILE))
    if output.exists():
        # The service writes them when the job has ended, of all its hooks at once.
        by_hook = not os.environ.get(JOB_VARIABLE)
        return Board(Path(read_json(output).get("LocalPath") or _DEFAULT), by_hook)
    document = read_json(hook_file)
    given = document.get("HookParameters") or {}
    if given.get("tensorboard_dir"):
        return Board(Path(given["tensorboard_dir"]).expanduser())
    if flag("export_tensorboard", given.get("export_tensorboard", False)):
        return Board(Path(document.get("LocalPath") or DEFAULT_FOLDER) / "tensorboard")
    return None


def export(tensors: Path, events: Path) -> None:
    """Write what a hook has saved as event files; what goes wrong is said, and no more."""
    try:
        write_event_files(History.open(tensors), events)
    except (ClaryError, OSError) as error:
        get_logger().warning("no event files are written to %s: %s", events, error)
