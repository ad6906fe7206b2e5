"""The processes of a replica's parent: each in a group of its own, and gone with the parent."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from clary.endings import exit_code
from clary.jobs.program import end_with

SIGNALS = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT})
# One that lived for so long has not died of how it was started.
_LONG_S = 5.0
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 2.0


@dataclass
class Child:
    """A process that is started again when it dies.

    `deaths` counts those that came soon after the start. `due` is when it is to be started, by
    `time.monotonic()`; None while it runs, and once it is not wanted any more.
    """

    name: str
    main: Callable[[], int]
    pid: int | None = None
    since: float = 0.0
    deaths: int = 0
    due: float | None = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Fork it."""
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            become(self.main, parent)
        with suppress(PermissionError, ProcessLookupError):  # it does so itself, too
            os.setpgid(pid, pid)
        self.pid, self.since, self.due = pid, time.monotonic(), None

    def died(self) -> None:
        """It has ended: end what it left behind, and count."""
        assert self.pid is not None
        signal_group(self.pid, signal.SIGKILL)
        self.pid = None
        lived = time.monotonic() - self.since
        self.deaths = 0 if lived > _LONG_S else self.deaths + 1

    def start_again(self) -> float:
        """Have it started again: at once, or after a while when it keeps dying.

        Returns:
            Seconds until then.
        """
        wait = 0.0
        if self.deaths > 1:
            wait = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (self.deaths - 2))
        self.due = time.monotonic() + wait
        return wait


def become(main: Callable[[], int], parent: int) -> NoReturn:
    """Be a child of a replica's parent, from the fork to the end.

    Args:
        main: what it does; its result is the exit code.
        parent: the process that it dies with.
    """
    code = 1
    try:
        end_with(parent)
        os.setpgid(0, 0)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        code = exit_code(lambda _: main(), ())
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - this is a fork: nobody above may go on in it
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def command(words: Sequence[str]) -> Callable[[], int]:
    """A child that is another program."""

    def run() -> int:
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(words[0], list(words))

    return run


def signal_group(group: int, number: int) -> None:
    """Send a signal to a child and all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
