"""The replica that answers, as a child of the job's program: `clary.jobs.serve`."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from clary.endings import exit_code
from clary.errors import ClaryError
from clary.formats.replica import Listening
from clary.jobs.program import end_with

# As long as SageMaker waits for a container.
_READY_S = 600.0
_LOOK_S = 0.02
_ASK_S = 30.0
_ENDING_S = 30.0
_NOT_READY = "The primary container did not pass the ping health check"


class ModelServer:
    """A fork of this process that serves the model of a folder; it dies with this process.

    Made before there are threads, which a fork would not take along.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._ended: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            code = 1
            try:
                end_with(parent)
                code = exit_code(_serve, [str(folder)])
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)

    def lives(self) -> bool:
        """Whether it runs. Any thread may ask."""
        with self._lock:
            if self._ended is None:
                pid, status = os.waitpid(self._pid, os.WNOHANG)
                if pid:
                    self._ended = os.waitstatus_to_exitcode(status)
            return self._ended is None

    def wait_until_ready(self) -> Listening:
        """Wait until the model answers; where it does so.

        Raises:
            ClaryError: it does not, or the server has ended.
        """
        deadline = time.monotonic() + _READY_S
        while self.lives():
            listening = Listening.read(self._folder)
            if listening is not None and _answers(listening):
                return listening
            if time.monotonic() > deadline:
                raise ClaryError(f"{_NOT_READY} within {_READY_S:.0f} s")
            time.sleep(_LOOK_S)
        raise ClaryError(f"{_NOT_READY}: it has ended, and the job's log says why")

    def stop(self) -> None:
        """End it: at first by asking, then at once."""
        deadline = time.monotonic() + _ENDING_S
        number = signal.SIGTERM
        while self.lives():
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)
            while self.lives() and time.monotonic() < deadline:
                time.sleep(_LOOK_S)
            number, deadline = signal.SIGKILL, time.monotonic() + _ENDING_S


def _serve(arguments: Sequence[str]) -> int:
    from clary.jobs.serve.__main__ import main

    return main(arguments)


def _answers(listening: Listening) -> bool:
    connection = http.client.HTTPConnection(listening.address, listening.port, timeout=_ASK_S)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
