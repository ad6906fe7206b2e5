"""`python -m clary.service`: the service on one home, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from clary import __version__
from clary.endings import exit_code
from clary.errors import ClaryError, UsageError
from clary.formats.files import storage_errors
from clary.formats.service_record import ServiceRecord, lock_path, utc_now
from clary.loopback import is_loopback
from clary.service.http_protocol import BoundedHeadProtocol
from clary.service.service_log import LogHandler, ServiceLog
from clary.settings import Settings

# A probe of the lock holds it for a moment.
_LOCK_PATIENCE_SECONDS = 1.0
# Connections that wait for the loop to accept them: 500 clients may come at once.
_BACKLOG = 4096
_KEEP_ALIVE_SECONDS = 75
_SHUTDOWN_SECONDS = 5
# Connections and jobs need them; more would cost programs that close them one by one.
_OPEN_FILES = 16_384


def main(arguments: Sequence[str]) -> int:
    """Run the service.

    Raises:
        ClaryError: it cannot be started.
    """
    options = _parser().parse_args(arguments)
    settings = Settings.from_environment()
    if options.home is not None:
        settings = settings.model_copy(update={"home": options.home.expanduser().absolute()})
    port = settings.port if options.port is None else options.port
    _allow_open_files()
    with _only_one(settings), _listening(options.host, port) as listener:
        _serve(settings, listener)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clary.service", description=__doc__)
    parser.add_argument("--port", type=int, help="default: CLARY_PORT, or 7788; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument("--home", type=Path, help="default: CLARY_HOME, or ~/.clary")
    return parser


class _Server(uvicorn.Server):
    """uvicorn, with the record of the service as long as it accepts connections."""

    def __init__(self, config: uvicorn.Config, settings: Settings, service: Any) -> None:
        super().__init__(config)
        self._settings = settings
        self._service = service

    def capture_signals(self) -> Any:
        """Signals end the server, and not the process before it has tidied up."""
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        await super().startup(sockets)
        host, port = (sockets or [])[0].getsockname()[:2]
        record = ServiceRecord(
            version=__version__, pid=os.getpid(), host=host, port=port, started=utc_now()
        )
        self._service.start(record)
        record.write(self._settings)
        logging.getLogger("clary.service").info("Clary %s listens on %s", __version__, record.url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop to accept, finish what is under way."""
        ServiceRecord.remove(self._settings)
        self._service.wake()
        await super().shutdown(sockets)


def _serve(settings: Settings, listener: socket.socket) -> None:
    from clary.service.assembly import Service

    log = ServiceLog(settings.service_log)
    logging.basicConfig(level=logging.INFO, handlers=[LogHandler(log)])
    service = Service(settings, log)
    config = uvicorn.Config(
        service.app,
        http=BoundedHeadProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    server = _Server(config, settings, service)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    try:
        uvloop.run(server.serve([listener]))
    finally:
        service.close()


def _allow_open_files() -> None:
    """Raise the soft limit towards the hard one: 1024 are soon used up by 500 clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    path = lock_path(settings)
    with storage_errors(path):
        settings.home.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    with file:
        deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise _home_in_use(settings) from error
                time.sleep(0.02)
        ServiceRecord.remove(settings)
        yield


def _home_in_use(settings: Settings) -> ClaryError:
    record = ServiceRecord.read(settings)
    where = f" (process {record.pid}, {record.url})" if record else ""
    return UsageError(
        f"a Clary service runs on {settings.home} already{where}: "
        "use it, or stop it with `clary stop`"
    )


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    if not 0 <= port <= 65535:
        raise UsageError(f"--port is {port}: it must be from 0 to 65535")
    if not is_loopback(host):
        sys.stderr.write(
            f"clary: the service can be reached from other machines on {host}, without "
            "encryption: anybody with its keys can run programs here\n"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise UsageError(
            f"port {port} of {host} cannot be listened on ({reason}): "
            "stop what uses it, or choose another with CLARY_PORT or `clary start --port`"
        ) from error
    with listener:
        yield listener


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
