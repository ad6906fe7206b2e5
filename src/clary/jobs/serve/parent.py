"""The parent of a replica's processes: it starts them, and starts again what dies.

One thread, and nothing that could fail: signals are waited for, not handled.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from clary.endings import EXIT_INTERRUPTED
from clary.endpoint import worker
from clary.formats.replica import Listening, ReplicaSettings
from clary.jobs.serve.children import SIGNALS, Child, command, signal_group
from clary.jobs.serve.listeners import Listeners, turn_away
from clary.jobs.serve.server_process import run_server

_PATIENCE_S = 60.0
# A server that was killed so often before it served once is not started again.
_ATTEMPTS = 3
# So many in a row of one worker, each soon after its start. The server counts those that it has
# heard of, and gives up sooner, with more to say.
_WORKER_ATTEMPTS = 6
_EXIT_GAVE_UP = 1


class Parent:
    """Runs a replica."""

    def __init__(self, settings: ReplicaSettings, folder: Path, listeners: Listeners) -> None:
        """Start nothing yet.

        Args:
            settings: what is served.
            folder: the replica's.
            listeners: its sockets, which stay open for as long as it runs.
        """
        self._settings = settings
        self._folder = folder
        self._listeners = listeners
        # The server process writes a byte once it has served.
        self._served, self._tells_served = os.pipe()
        os.set_blocking(self._served, False)
        self._has_served = False
        self._worker_died = ""
        self._attempts = 0
        self._server = Child("server", self._run_server)
        self._workers = [
            Child(f"worker {number}", self._worker_main())
            for number in range(1, self._worker_count() + 1)
        ]
        self._stopping = False

    def run(self) -> int:
        """Serve until SIGTERM, SIGINT, or a server that cannot serve.

        A second SIGINT does not wait for answers.

        Returns:
            What the process shall end with.

        Raises:
            StorageError: the folder cannot be written.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self._announce()
            self._import_torch()
            return self._watch()
        finally:
            self._end_children()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _announce(self) -> None:
        address, port = self._listeners.clients.getsockname()[:2]
        Listening(address=address, port=port, since_ms=int(time.time() * 1000)).write(self._folder)
        shown = f"[{address}]" if ":" in address else address
        self._say(f"{self._settings.endpoint} listens on http://{shown}:{port}")

    def _import_torch(self) -> None:
        """Load what nearly all handlers import, so that workers share it and are soon replaced."""
        if self._workers and self._settings.python is None:
            for name in ("torch", "torchvision"):
                with suppress(ImportError):
                    importlib.import_module(name)

    def _watch(self) -> int:
        while True:
            for child in (self._server, *self._workers):
                if child.due is not None and child.due <= time.monotonic():
                    self._start(child)
            due = [child.due for child in (self._server, *self._workers) if child.due is not None]
            wait = min([_PATIENCE_S, *(max(0.0, at - time.monotonic()) for at in due)])
            got = signal.sigtimedwait(SIGNALS, wait)
            # First of all: whether there is a server that can answer.
            code = self._reap()
            if code is None and got is not None and got.si_signo != signal.SIGCHLD:
                if self._stopping and got.si_signo == signal.SIGINT:
                    return EXIT_INTERRUPTED
                self._stop()
                code = self._reap()
            if code is not None:
                return code

    def _start(self, child: Child) -> None:
        try:
            child.start()
        except OSError as error:
            child.deaths += 1
            wait = child.start_again()
            self._say(f"{child.name} cannot be started ({error}); once more in {wait:.1f} s")

    def _stop(self) -> None:
        """Have the server answer what was begun; the workers are needed until it has."""
        self._stopping = True
        if self._server.pid is None:
            self._server.due = None
            turn_away(self._listeners.clients)
        else:
            # The server's own is the last one: when that is closed, the system refuses who comes.
            self._listeners.clients.close()
            with suppress(ProcessLookupError):
                os.kill(self._server.pid, signal.SIGTERM)

    def _reap(self) -> int | None:
        """Take note of what has ended; the exit code when that was the end of all."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            for child in (self._server, *self._workers):
                if child.pid == pid:
                    code = self._ended(child, os.waitstatus_to_exitcode(status))
                    if code is not None:
                        return code
        return 0 if self._stopping and self._server.pid is None else None

    def _ended(self, child: Child, code: int) -> int | None:
        pid = child.pid
        child.died()
        how = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with {code}"
        if child is self._server:
            self._served_once()
            if self._stopping:
                return code if code >= 0 else 128 - code
            self._attempts += 1
            if not self._has_served and (code > 0 or self._attempts >= _ATTEMPTS):
                self._say_what_workers_died_of()
                return code if code > 0 else _EXIT_GAVE_UP
        elif self._stopping:
            return None
        elif not self._served_once():
            times = f"{child.deaths} times" if child.deaths > 1 else "once"
            self._worker_died = f"{child.name} {how}, {times}"
            if child.deaths >= _WORKER_ATTEMPTS:
                self._say_what_workers_died_of()
                return _EXIT_GAVE_UP
        wait = child.start_again()
        self._say(f"{child.name} (process {pid}) {how}; it is started again in {wait:.1f} s")
        return None

    def _say_what_workers_died_of(self) -> None:
        """Last of all: the last line is the reason that people are told."""
        if self._worker_died:
            self._say(
                f"{self._worker_died} before the model was loaded: what it has printed says more"
            )

    def _served_once(self) -> bool:
        self._has_served = self._has_served or _has_byte(self._served)
        return self._has_served

    def _end_children(self) -> None:
        for child in (self._server, *self._workers):
            if child.pid is not None:
                signal_group(child.pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(child.pid, 0)

    def _worker_count(self) -> int:
        if self._settings.kind == "pictures":
            return 0
        return worker.worker_count(self._settings, os.environ)

    def _worker_main(self) -> Callable[[], int]:
        path = self._listeners.workers_path
        if self._settings.python is not None:
            words = [self._settings.python, "-m", "clary.endpoint.worker", path]
            return command([*words, str(self._folder)])
        return partial(self._run_worker, path)

    def _run_server(self) -> int:
        return run_server(
            self._settings, self._listeners, self._tells_served, again=self._has_served
        )

    def _run_worker(self, path: str) -> int:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._listeners.close()
        return worker.run_worker(path, self._settings, os.environ)

    @staticmethod
    def _say(sentence: str) -> None:
        print(f"clary: {sentence}", file=sys.stderr, flush=True)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _has_byte(handle: int) -> bool:
    try:
        return bool(os.read(handle, 1))
    except BlockingIOError:
        return False
