"""A Jupyter kernel whose AWS is this machine.

The kernel is started through `clary exec`: nothing secret stands in its file, the service is
started with it, and the port is the one of that moment.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from clary.errors import UsageError
from clary.formats.files import write_json
from clary.settings import Settings

_NAME = re.compile(r"[a-z0-9._-]+")


def install_kernel(
    settings: Settings, *, name: str, display_name: str, python: str, prefix: Path | None = None
) -> Path:
    """Write a kernel's folder; one of the same name is replaced.

    Args:
        settings: whose home the kernel uses.
        name: lower-case letters, digits, `.`, `_` and `-`.
        display_name: what Jupyter shows.
        python: an interpreter with ipykernel.
        prefix: of an installation that Jupyter searches; the user's own folder by default.

    Returns:
        The folder.

    Raises:
        UsageError: the name is not allowed, or the interpreter has no ipykernel.
        StorageError: the folder cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--name is {name!r} but must be lower-case letters, digits, dots, hyphens and "
            "underscores"
        )
    _require_ipykernel(python)
    data = _user_data(os.environ) if prefix is None else prefix.absolute() / "share" / "jupyter"
    folder = data / "kernels" / name
    write_json(
        folder / "kernel.json",
        {
            "argv": [
                *(sys.executable, "-m", "clary", "exec", "--"),
                *(python, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
            ],
            "display_name": display_name,
            "language": "python",
            "metadata": {"debugger": True},
            "env": {"CLARY_HOME": str(settings.home)},
        },
    )
    return folder


def _require_ipykernel(python: str) -> None:
    try:
        found = subprocess.run(
            [python, "-c", "import ipykernel; print(ipykernel.__version__)"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise UsageError(
            f"--python is {python!r} but it cannot be run: {error.strerror}"
        ) from error
    # A program that is no Python may take it all without a word.
    if found.returncode or not found.stdout.strip():
        raise UsageError(
            f"{python} has no ipykernel, which Jupyter needs: `{python} -m pip install ipykernel`, "
            "or name the interpreter of your notebooks by --python"
        )


def _user_data(environment: os._Environ[str]) -> Path:
    """Where Jupyter looks for what belongs to the user (`jupyter_core.paths`)."""
    if environment.get("JUPYTER_DATA_DIR"):
        return Path(environment["JUPYTER_DATA_DIR"])
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Jupyter"
    if environment.get("XDG_DATA_HOME"):
        return Path(environment["XDG_DATA_HOME"]) / "jupyter"
    return Path.home() / ".local" / "share" / "jupyter"
