"""A lane in a fresh interpreter: `python -m clary.jobs.lane DESCRIPTOR`."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence

from clary.endings import exit_code
from clary.vision.before_torch import prepare_process


def main(arguments: Sequence[str]) -> int:
    """Run the lane until nobody needs it."""
    prepare_process()
    from clary.jobs.lane.life import run_lane

    return run_lane(socket.socket(fileno=int(arguments[0])))


if __name__ == "__main__":
    os._exit(exit_code(main, sys.argv[1:]))
