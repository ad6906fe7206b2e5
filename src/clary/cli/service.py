"""`clary start`, `clary stop`, `clary status` and `clary logs`."""

from __future__ import annotations

import os
import sys
import time
from typing import Annotated

from cyclopts import Parameter

from clary import __version__
from clary.cli.parser import Switch
from clary.errors import UsageError
from clary.formats.service_record import ServiceRecord
from clary.sdk import office
from clary.sdk.text_files import follow_lines, last_lines
from clary.settings import Settings

EXIT_NOT_RUNNING = 3  # what init scripts answer to `status`


def start(
    *,
    port: int | None = None,
    host: str = office.HOST,
    foreground: Switch = False,
) -> int:
    """Start the service: SageMaker, S3 and CloudWatch on one port of this machine.

    Commands that need it start it by themselves.

    Args:
        port: Where to listen; CLARY_PORT or 7788 by default, 0 for any free port.
        host: The address to listen on. Whoever reaches another than 127.0.0.1 can run code here
            with the keys that `clary env` shows.
        foreground: Stay in this terminal until Ctrl-C, and log to it.

    Raises:
        UsageError: the port is out of bounds.
        ServiceError: the service cannot be started.
        StorageError: the home cannot be written.
    """
    settings = Settings.from_environment()
    if port is not None and not 0 <= port <= 65535:
        raise UsageError(f"--port is {port} but must be 0 to 65535")
    chosen = settings.port if port is None else port
    running = ServiceRecord.read(settings)
    if running is not None:
        if port not in {None, 0, running.port}:
            raise UsageError(
                f"the service of {settings.home} listens on port {running.port} already: "
                "`clary stop` ends it"
            )
        print(f"The Clary service is running on {running.host}:{running.port} already")
        return 0
    if foreground:
        command = office.service_command(settings, host=host, port=chosen)
        sys.stdout.flush()
        os.execv(command[0], command)
    record = office.start(settings, host=host, port=chosen)
    print(f"Started the Clary service on {record.host}:{record.port}")
    print('`eval "$(clary env)"` makes it the AWS of this shell, `clary stop` ends it')
    return 0


def stop() -> int:
    """Stop the service. Trainings that run go on; the next start takes them up again.

    Raises:
        ServiceError: it does not end.
    """
    settings = Settings.from_environment()
    record = office.stop(settings)
    if record is None:
        print(f"No Clary service runs on {settings.home}")
    else:
        print(f"Stopped the Clary service on {record.host}:{record.port}")
    return 0


def status() -> int:
    """Say whether the service runs, and where; the exit code is 3 when it does not."""
    settings = Settings.from_environment()
    record = ServiceRecord.read(settings)
    if record is None:
        print(f"No Clary service runs on {settings.home}: `clary start` starts it")
        return EXIT_NOT_RUNNING
    rows = {
        "endpoint": record.url,
        "home": str(settings.home),
        "process": str(record.pid),
        "started": record.started,
        "version": record.version,
        "log": str(settings.service_log),
    }
    for name, value in rows.items():
        print(f"{name:<9} {value}")
    if record.version != __version__:
        print(f"It is not of this Clary's version, {__version__}: `clary stop` ends it")
    return 0


def logs(
    *,
    follow: Annotated[Switch, Parameter(name=("--follow", "-f"))] = False,
    lines: Annotated[int, Parameter(name=("--lines", "-n"))] = 50,
) -> int:
    """Show what the service has said: requests, and why something went wrong.

    `clary jobs logs` shows what a training has said.

    Args:
        follow: Go on with what comes, until Ctrl-C.
        lines: How many lines to begin with.

    Raises:
        UsageError: the number of lines is negative.
    """
    if lines < 0:
        raise UsageError(f"--lines is {lines} but must be 0 or more")
    path = Settings.from_environment().service_log
    if not path.exists():
        print("The service has not said anything yet: `clary start` starts it")
        return 0
    shown, end = last_lines(path, lines)
    for line in shown:
        print(line)
    if follow:
        for line in follow_lines(path, end, pause=lambda: time.sleep(0.2)):
            print(line, flush=True)
    return 0
