"""The service as a process in the background: started when something needs it, found, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from clary.errors import ServiceError
from clary.formats.files import storage_errors
from clary.formats.service_record import ServiceRecord, service_is_alive
from clary.sdk.processes import PROGRAM_ENVIRONMENT
from clary.settings import DEFAULT_PORT, Settings

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 60.0
_POLL_SECONDS = 0.02


def ensure_running(
    settings: Settings, *, say: Callable[[str], None] | None = None
) -> ServiceRecord:
    """The running service of a home; started in the background when there is none.

    Where another program has the default port, any free one is taken: the record says which.

    Args:
        settings: whose home it serves.
        say: takes the sentence that it was started; stderr by default.

    Raises:
        ServiceError: it cannot be started; the sentence is its own.
        StorageError: the home cannot be written.
        FormatError: its record is damaged, or of a later version.
    """
    record = ServiceRecord.read(settings)
    if record is not None:
        return record
    port = settings.port
    if port == DEFAULT_PORT and not port_is_free(HOST, port):
        port = 0
    record = start(settings, host=HOST, port=port)
    (say or _say)(f"Started the Clary service on {record.host}:{record.port}")
    return record


def start(settings: Settings, *, host: str, port: int) -> ServiceRecord:
    """Start the service in the background; returns when it accepts requests.

    A service that another process starts at the same moment is as good.

    Args:
        settings: whose home it serves.
        host: the address to listen on.
        port: 0 for any free one.

    Raises:
        ServiceError: it has ended again, or does not answer in time.
        StorageError: the home cannot be written.
    """
    with storage_errors(settings.home):
        settings.home.mkdir(parents=True, exist_ok=True)
    with storage_errors(settings.service_log), settings.service_log.open("ab") as log:
        begins_at = log.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            service_command(settings, host=host, port=port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A folder that the service does not keep from being removed or unmounted.
            cwd=settings.home,
            env={**os.environ, **PROGRAM_ENVIRONMENT},
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        record = ServiceRecord.read(settings)
        if record is not None:
            return record
        if process.poll() is not None and not service_is_alive(settings):
            raise ServiceError(_last_words(settings.service_log, begins_at))
        time.sleep(_POLL_SECONDS)
    raise ServiceError(
        f"the service does not answer after {START_SECONDS:.0f} seconds: "
        f"{settings.service_log} says how far it came"
    )


def service_command(settings: Settings, *, host: str, port: int) -> list[str]:
    """The command line of the service."""
    words = ["--home", str(settings.home), "--host", host, "--port", str(port)]
    return [sys.executable, "-m", "clary.service", *words]


def stop(settings: Settings) -> ServiceRecord | None:
    """End the service in peace; its jobs go on without it.

    Returns:
        The service that was stopped, None when none was running.

    Raises:
        ServiceError: it does not end, or belongs to somebody else.
        FormatError: its record is damaged, or of a later version.
    """
    record = ServiceRecord.read(settings)
    if record is None:
        return None
    try:
        os.kill(record.pid, signal.SIGTERM)
    except ProcessLookupError:
        return record
    except PermissionError as error:
        raise ServiceError(
            f"the service (process {record.pid}) belongs to another user: ask them to stop it"
        ) from error
    deadline = time.monotonic() + STOP_SECONDS
    while service_is_alive(settings) or not _has_ended(record.pid):
        if time.monotonic() > deadline:
            raise ServiceError(
                f"the service (process {record.pid}) has not ended after {STOP_SECONDS:.0f} "
                f"seconds: {settings.service_log} says what it waits for"
            )
        time.sleep(_POLL_SECONDS)
    return record


def _has_ended(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def port_is_free(host: str, port: int) -> bool:
    """Whether a service could listen there."""
    with socket.socket() as listener:
        # As the service does: an address is free again as soon as its listener has gone.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def _last_words(log: Path, begins_at: int) -> str:
    """What the service has said before it ended, without the name before it."""
    with storage_errors(log), log.open("rb") as file:
        file.seek(begins_at)
        lines = file.read().decode("utf-8", "replace").split("\n")
    said = [line.removeprefix("clary: ") for line in lines if line.startswith("clary: ")]
    if said:
        return "\n".join(said)
    return f"the service has ended while it started: {log} says why"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
