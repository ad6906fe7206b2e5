"""A process that has torch loaded and forks hosts: `python -m clary.jobs.warm_parent DESCRIPTOR`.

Started with SIGINT blocked by the service, which holds the other end of a socket (SOCK_SEQPACKET):

    ← "warm"                                       once the libraries are loaded
    → path of `.launch.json`, with the host's lock as a descriptor
    → "lane", with a socket on which launches will come (`clary.jobs.lane`); also before "warm"
    ← process id of the host

It ends when the service's end is closed and what was asked is done; the hosts live on, each in a
session of its own. It computes nothing itself, for threads do not survive a fork.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from clary.endings import exit_code
from clary.formats.launch import LANE
from clary.jobs.host.life import live
from clary.vision.before_torch import prepare_process

# What scripts that fine-tune a classifier import, the slowest first; then what replicas do.
_LIBRARIES = (
    "torch",
    "torch.utils.data",
    "torchvision",
    "torchvision.transforms",
    "torchvision.models",
    "torchvision.datasets",
    "numpy",
    "PIL.Image",
    "clary.vision.checks",
    "clary.vision.finetuning",
    "clary.jobs.progress",
    "timm.models",
    "clary.jobs.report",
    "clary.jobs.lane.life",
    "clary.profiler.scripts.script_watch",
    "clary.profiler.sampling.system_sampler",
    "clary.jobs.serve.parent",
    "clary.endpoint.picture_backend",
    "openvino",
)
_MESSAGE_BYTES = 4096
_REAP_S = 1.0


def main(arguments: Sequence[str]) -> int:
    """Load the libraries, then fork a host for each request."""
    service = socket.socket(fileno=int(arguments[0]))
    service.set_inheritable(False)
    # `python -m` looks in the current folder first; scripts must not.
    sys.path[:] = [path for path in sys.path if path not in {"", str(Path.cwd())}]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides when this ends
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    prepare_process()
    for name in _LIBRARIES:
        if _is_gone(service):
            return 0
        importlib.import_module(name)
    gc.freeze()  # collecting would copy pages that the hosts share
    _say(service, b"warm")
    return _serve(service)


def _serve(service: socket.socket) -> int:
    """Fork a host for each request until the service is gone."""
    while True:
        if not _can_read(service, _REAP_S):
            _reap()
            continue
        try:
            message, handles, _, _ = socket.recv_fds(service, _MESSAGE_BYTES, 1)
        except ConnectionError:
            continue  # said once where the service is gone; what it had sent before is still there
        if not message:
            return 0
        pid = os.fork()
        if pid == 0:
            _be_host(service, os.fsdecode(message), handles[0])
        for handle in handles:
            os.close(handle)
        _say(service, str(pid).encode())
        _reap()


def _be_host(service: socket.socket, asked: str, handle: int) -> NoReturn:
    """Run a host in this fork. It ends at once, without dismantling what the parent has loaded."""
    service.close()
    os.setsid()
    if asked == LANE:
        from clary.jobs.lane.life import run_lane

        os._exit(exit_code(lambda _: run_lane(socket.socket(fileno=handle)), ()))
    os._exit(exit_code(lambda _: live(Path(asked), handle, may_run_here=True), ()))


def _say(service: socket.socket, message: bytes) -> None:
    with suppress(ConnectionError):  # it was ended while it was spoken to
        service.send(message)


def _is_gone(service: socket.socket) -> bool:
    """Whether the service has ended, and has left nothing to be done."""
    try:
        return not service.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False


def _can_read(service: socket.socket, seconds: float) -> bool:
    asking = select.poll()  # select itself refuses descriptors from 1024 on
    asking.register(service, select.POLLIN)
    return bool(asking.poll(seconds * 1000))


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


if __name__ == "__main__":
    os._exit(exit_code(main, sys.argv[1:]))
