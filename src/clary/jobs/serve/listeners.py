"""The sockets of a replica: that of its clients, and that of its workers."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from clary.endpoint.http_messages import not_accepted
from clary.errors import ServiceError
from clary.formats.replica import ReplicaSettings

# The socket of the workers, in the folder of the replica.
WORKERS_FILE = ".workers"
# Connections wait here while the server process is started again.
_BACKLOG = 4096
# How long they are listened to once they need not wait any more, all together.
_TURNING_AWAY_S = 1.0


@dataclass(frozen=True)
class Listeners:
    """`clients` takes HTTP; `workers`, at `workers_path`, takes the processes of handlers."""

    clients: socket.socket
    workers: socket.socket | None = None
    workers_path: str = ""

    def close(self) -> None:
        """Let go of them, in a process that has no use for them."""
        self.clients.close()
        if self.workers is not None:
            self.workers.close()


@contextmanager
def open_listeners(settings: ReplicaSettings, folder: Path) -> Iterator[Listeners]:
    """Bind and listen, until the end of the block.

    Args:
        settings: what is served, and where.
        folder: the replica's, which is tidied up by whoever has made it, also after a kill.

    Raises:
        ServiceError: the address cannot be bound, or the path for workers is too long.
    """
    with ExitStack() as stack:
        clients = stack.enter_context(_for_clients(settings))
        if settings.kind == "pictures":
            yield Listeners(clients)
            return
        workers = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        path = folder.absolute() / WORKERS_FILE
        try:
            stack.callback(path.unlink, missing_ok=True)
            _bind(workers, path)
        except OSError:
            # The system takes a hundred letters, and some file systems take no sockets.
            shorter = stack.enter_context(tempfile.TemporaryDirectory(prefix="clary-"))
            path = Path(shorter) / WORKERS_FILE
            try:
                _bind(workers, path)
            except OSError as error:
                raise ServiceError(
                    f"the workers' socket cannot be at {path} ({error}): set TMPDIR to a folder "
                    "with a short path"
                ) from error
        workers.listen(_BACKLOG)
        yield Listeners(clients, workers, str(path))


def _bind(listener: socket.socket, path: Path) -> None:
    """Bind a socket to a path that this user alone can connect to."""
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)


def turn_away(listener: socket.socket) -> None:
    """Tell those who wait in a listener that nobody will serve them, and close it."""
    refused = not_accepted("stopping", "the server is shutting down").encode(keep_alive=False)
    clients = []
    with listener, suppress(OSError):  # nobody else is there
        listener.setblocking(False)
        while True:
            clients.append(listener.accept()[0])
    until = time.monotonic() + _TURNING_AWAY_S
    for client in clients:
        with client, suppress(OSError):
            client.settimeout(max(0.001, until - time.monotonic()))
            client.sendall(refused)
            client.shutdown(socket.SHUT_WR)
            # What is closed on unread bytes is reset, and the answer lost with it.
            while client.recv(1 << 16) and time.monotonic() < until:
                pass


def _for_clients(settings: ReplicaSettings) -> socket.socket:
    address, port = settings.address, settings.port
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ServiceError(f"{address} is no address of this machine: {error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ServiceError(
            f"nothing can be served on {address}:{port} ({error.strerror}): give another port, "
            "or 0 for any that is free"
        ) from error
    return listener
