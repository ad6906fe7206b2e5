"""The server process of a replica: an event loop, the HTTP server, and what answers."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from contextlib import suppress

from clary.endpoint.backend import Backend
from clary.endpoint.server import Server, server_metrics
from clary.endpoint.server_metrics import ServerMetrics
from clary.errors import ClaryError
from clary.formats.replica import ReplicaSettings
from clary.jobs.serve.line_writer import LineWriter
from clary.jobs.serve.listeners import Listeners, turn_away

# Each connection is one; 1024 are soon used up.
_OPEN_FILES = 16_384
# Clients of a server that has died wait so long for the next one, before they are told to.
_AGAIN_S = 5.0


def run_server(settings: ReplicaSettings, listeners: Listeners, served: int, *, again: bool) -> int:
    """Serve until SIGTERM.

    Args:
        settings: what is served.
        listeners: where clients and workers come in.
        served: a byte is written here once the model has answered.
        again: another server has served before, whose clients are there.

    Raises:
        ClaryError: the model will never answer.
    """
    import uvloop

    _allow_open_files()
    uvloop.run(_serve(settings, listeners, served, _AGAIN_S if again else 0.0))
    return 0


async def _serve(
    settings: ReplicaSettings, listeners: Listeners, served: int, patience_s: float
) -> None:
    begun = time.monotonic()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    lines = LineWriter(loop)
    metrics = server_metrics(settings)
    backend = _backend(settings, listeners, metrics)
    server = Server(settings, backend, metrics, say=lines.say, complain=_complain)
    starting = loop.create_task(server.start(listeners.clients, patience_s=patience_s))
    ending = loop.create_task(ended.wait())
    await asyncio.wait((starting, ending), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        with suppress(asyncio.CancelledError, ClaryError):
            await starting
        # Those who are connected are told so, and those who still wait in the listener.
        await server.close()
        turn_away(listeners.clients)
        lines.close()
        return
    starting.result()
    lines.say(f"{settings.endpoint} serves after {time.monotonic() - begun:.1f} s")
    os.write(served, b"\0")
    await ending
    await server.close()
    lines.close()


def _backend(settings: ReplicaSettings, listeners: Listeners, metrics: ServerMetrics) -> Backend:
    # Each brings libraries of its own.
    if settings.kind == "pictures":
        from clary.endpoint.picture_backend import PictureBackend

        return PictureBackend(settings, metrics.count_batch, complain=_complain)
    from clary.endpoint.script_backend import ScriptBackend

    assert listeners.workers is not None
    return ScriptBackend(settings, listeners.workers)


def _complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
