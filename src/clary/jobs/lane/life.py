"""A lane from its first launch to its last end."""

from __future__ import annotations

import os
import socket
import time

from clary.cores import usable_cores
from clary.formats.launch import Launch
from clary.jobs.host.user_code import start_anew
from clary.jobs.lane.hosted_job import HostedJob
from clary.jobs.lane.reception import Reception
from clary.jobs.lane.trials import Trials
from clary.settings import Settings

# Features, backbone and pictures stay at hand for the trials that are still to be thought of. They
# are most of a gigabyte, and the next lane finds the features on the disk.
IDLE_S = 10.0
# Trials that are started together arrive a moment apart.
LINGER_S = 0.02
_RETRY_S = 1.0


def run_lane(service: socket.socket, idle_s: float = IDLE_S) -> int:
    """Host the jobs that arrive, until none has come for a while or the service is gone.

    Args:
        service: launches come from it; see `Reception`.
        idle_s: how long to wait for more, in seconds.

    Returns:
        What the process shall end with.
    """
    os.chdir("/")
    reception = Reception(service)
    try:
        _host(reception, idle_s)
    except Exception as error:
        reception.end_all(error)
        raise
    return 0


def _host(reception: Reception, idle_s: float) -> None:
    trials: Trials | None = None
    idle_since = time.monotonic()
    while True:
        arrived = _arrived(reception)
        if arrived:
            if trials is None:
                _surround(arrived[0].launch)
                trials = Trials(Settings.from_environment(), reception.attend)
            trials.begin(arrived)
        if trials is not None and trials.busy:
            trials.advance()
            reception.look()
        elif not reception.is_empty:  # what is left has only to be said
            reception.wait(_RETRY_S)
        else:
            left = idle_since + idle_s - time.monotonic()
            if reception.is_open and left > 0:
                reception.wait(left)
                continue
            if reception.close():
                break
        idle_since = time.monotonic()
    if trials is not None:
        trials.close()


def _arrived(reception: Reception) -> list[HostedJob]:
    """The jobs that have come, and those that come with them."""
    arrived = reception.take()
    more = arrived
    while more:
        reception.wait(LINGER_S)
        more = reception.take()
        arrived += more
    return arrived


def _surround(launch: Launch) -> None:
    """What a job's process finds around it; the trials of a lane have it in common."""
    os.environ.clear()
    os.environ.update(launch.environment)
    program = launch.in_process
    start_anew(program.threads if program is not None else usable_cores())
