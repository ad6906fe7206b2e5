"""A replica in a process of its own: `python -m clary.jobs.serve FOLDER`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from clary.endings import exit_code
from clary.endpoint.container_variables import with_variables
from clary.formats.replica import ReplicaSettings
from clary.jobs.program import ProgramParser
from clary.jobs.serve.listeners import open_listeners
from clary.jobs.serve.parent import Parent


def main(arguments: Sequence[str]) -> int:
    """Serve until a signal ends it.

    Returns:
        0 after a signal, else what the server has ended with.

    Raises:
        ClaryError: the settings are none, or the port is taken.
    """
    parser = ProgramParser("serve", __doc__)
    parser.add_argument("folder", type=Path, help="of the replica: holds replica.json")
    folder: Path = parser.parse_args(arguments).folder
    settings = with_variables(ReplicaSettings.read(folder), os.environ)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with open_listeners(settings, folder) as listeners:
        return Parent(settings, folder, listeners).run()


if __name__ == "__main__":
    # Taking apart what the workers share takes a second, and serves nobody.
    os._exit(exit_code(main, sys.argv[1:]))
