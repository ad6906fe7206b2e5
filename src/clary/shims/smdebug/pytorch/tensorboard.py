"""Event files for TensorBoard: whether they are wanted, and writing them at the end."""

from __future__ import annotations

import os
from pathlib import Path

from clary.debugger.configuration import DEFAULT_FOLDER
from clary.debugger.history import History
from clary.debugger.parameters import flag
from clary.debugger.tensorboard import write_event_files
from clary.errors import ClaryError
from clary.formats.files import read_json

from ..core.logger import get_logger

OUTPUT_VARIABLE = "TENSORBOARD_CONFIG_FILE_PATH"
_OUTPUT_FILE = "tensorboardoutputconfig.json"
_DEFAULT = Path("/opt/ml/output/tensorboard")


def folder_of_job(hook_file: Path) -> Path | None:
    """Where a job wants event files; None where it wants none.

    Args:
        hook_file: its `debughookconfig.json`; `tensorboardoutputconfig.json` is beside it.

    Raises:
        FormatError: one of both is damaged.
        UsageError: `export_tensorboard` is neither true nor false.
    """
    output = Path(os.environ.get(OUTPUT_VARIABLE) or hook_file.with_name(_OUTPUT_FILE))
    if output.exists():
        return Path(read_json(output).get("LocalPath") or _DEFAULT)
    document = read_json(hook_file)
    given = document.get("HookParameters") or {}
    if given.get("tensorboard_dir"):
        return Path(given["tensorboard_dir"]).expanduser()
    if flag("export_tensorboard", given.get("export_tensorboard", False)):
        return Path(document.get("LocalPath") or DEFAULT_FOLDER) / "tensorboard"
    return None


def export(tensors: Path, events: Path) -> None:
    """Write what a hook has saved as event files; what goes wrong is said, and no more."""
    try:
        write_event_files(History.open(tensors), events)
    except (ClaryError, OSError) as error:
        get_logger().warning("no event files are written to %s: %s", events, error)
