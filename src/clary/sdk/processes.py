"""The one place that starts job programs.

A program is a module of `clary.jobs`, run by this interpreter as a process of its own. It shares
the terminal and the standard streams; the parent waits and hands back its exit code.

| signal to the parent | what the parent does                                                     |
|----------------------|--------------------------------------------------------------------------|
| SIGINT               | waits on; passes it on unless the terminal has sent it to the child too  |
| SIGTERM, SIGHUP      | passes it on and waits                                                   |
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from clary.errors import ClaryError, Interrupted

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXIT_STOPPED = frozenset(128 + number for number in STOP_SIGNALS)
# A signal that comes between two instructions before a wait is seen when that wait is over.
_LONGEST_WAIT_S = 1.0
_LOOK_S = 0.2
# How `clary.endings` begins each sentence about an end.
_SPEAKS = "clary: "
# `python -m` looks for modules in the current folder first, so that somebody's `random.py` beside
# their photos would take the place of Python's. Honoured from Python 3.11 on.
PROGRAM_ENVIRONMENT = {"PYTHONSAFEPATH": "1"}


@dataclass(frozen=True)
class ProgramEnd:
    """How a program ended: its exit code as a shell counts (128 + the signal that killed it),
    that signal or None, and whether it ended because somebody asked for it.
    """

    exit_code: int
    killed_by: signal.Signals | None
    stopped: bool

    @property
    def reason(self) -> str | None:
        """Why the program could not say itself what went wrong; None when it could."""
        if self.killed_by is None or self.stopped:
            return None
        sentence = f"the program was killed by {self.killed_by.name}"
        if self.killed_by is signal.SIGKILL:
            sentence += ", most often because memory ran out: try a smaller --batch-size"
        return sentence


def job_command(program: str, arguments: Sequence[str] = ()) -> list[str]:
    """The command line of a job program.

    Args:
        program: a module of `clary.jobs`, such as `train`.
        arguments: its arguments.
    """
    return [sys.executable, "-m", f"clary.jobs.{program}", *arguments]


def run_program(command: Sequence[str]) -> ProgramEnd:
    """Run a command line with the terminal, wait for it, and pass on what should stop it.

    Call it on the main thread: signals are handled there alone.

    Args:
        command: what `job_command` gives.
    """
    asked: list[int] = []
    with _handling_signals() as received:
        process = subprocess.Popen(list(command), env={**PROGRAM_ENVIRONMENT, **os.environ})
        received.forward = lambda number: _forward(process, number)
        code = _end_of(process)
        asked = received.numbers
    if code >= 0:
        return ProgramEnd(code, None, code in EXIT_STOPPED or bool(asked and code))
    killer = signal.Signals(-code)
    return ProgramEnd(128 - code, killer, killer in STOP_SIGNALS)


def run_job_program(program: str, arguments: Sequence[str]) -> int:
    """Run a job program that answers at once, such as `predict`; returns its exit code.

    Args:
        program: a module of `clary.jobs`.
        arguments: its arguments.

    Raises:
        ClaryError: the program was killed and could not say so itself.
    """
    end = run_program(job_command(program, arguments))
    if end.reason is not None:
        raise ClaryError(end.reason)
    return end.exit_code


def become_program(program: str, arguments: Sequence[str]) -> NoReturn:
    """Become a job program that runs a command of a person's: environment, signals, terminal and
    exit code are the command's own.

    Args:
        program: a module of `clary.jobs`.
        arguments: its arguments.
    """
    _, *words = job_command(program, arguments)
    # Not PYTHONSAFEPATH, which the command would have, too.
    safe = ["-P"] if sys.version_info >= (3, 11) else []
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *safe, *words])


def job_program_output(program: str, arguments: Sequence[str]) -> tuple[int, str]:
    """Run a job program that answers at once, and return its exit code and what it has printed.

    What it says on stderr, its bar and its error, goes to the terminal.

    Args:
        program: a module of `clary.jobs`.
        arguments: its arguments.
    """
    ended = subprocess.run(
        job_command(program, arguments),
        env={**PROGRAM_ENVIRONMENT, **os.environ},
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return ended.returncode, ended.stdout


def quiet_job_program(
    program: str, arguments: Sequence[str], *, stopped: Callable[[], bool] = lambda: False
) -> tuple[int, str]:
    """Run a job program that answers at once, without a word on the terminal.

    Any thread may call it.

    Args:
        program: a module of `clary.jobs`.
        arguments: its arguments.
        stopped: asked a few times a second whether the program is no longer wanted.

    Returns:
        Its exit code, and what it has printed.

    Raises:
        ClaryError: it has failed and printed nothing; the sentence is its own.
        Interrupted: it was no longer wanted.
    """
    with start_quietly(job_command(program, arguments)) as process:
        printed, said = output_of(process, f"{program} ran", stopped=stopped)
    if process.returncode and not printed:
        raise program_failure(program, process.returncode, said)
    return process.returncode, printed


def start_quietly(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    complaints: bool = False,
) -> subprocess.Popen[str]:
    """Start a program whose output is for whoever starts it; `output_of` waits for it.

    Args:
        command: its command line.
        environment: its variables; those of this process by default.
        complaints: let what it says on stderr go to the terminal.
    """
    return subprocess.Popen(
        list(command),
        env={**PROGRAM_ENVIRONMENT, **(os.environ if environment is None else environment)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if complaints else subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
        # Ctrl-C is for the one who waits, who ends it then.
        start_new_session=True,
    )


def output_of(
    process: subprocess.Popen[str], doing: str, *, stopped: Callable[[], bool] = lambda: False
) -> tuple[str, str]:
    """Wait for a program's end; it is ended when it is no longer wanted.

    Args:
        process: of `start_quietly`.
        doing: what goes on meanwhile, for the sentence of a stop.
        stopped: asked a few times a second whether the program is no longer wanted.

    Returns:
        What it has printed, and what it has said on stderr, "" where that went to the terminal.

    Raises:
        Interrupted: it was no longer wanted.
    """
    while True:
        try:
            printed, said = process.communicate(timeout=_LOOK_S)
        except subprocess.TimeoutExpired:
            if stopped():
                process.terminate()
                process.communicate()
                raise Interrupted(f"stopped while {doing}") from None
        except BaseException:
            process.kill()
            raise
        else:
            return printed, said or ""


def program_failure(program: str, code: int, said: str) -> ClaryError:
    """What a program has said on stderr, as the error that it was.

    Args:
        program: a module of `clary.jobs`.
        code: its exit code, below 0 where a signal has killed it.
        said: on stderr.
    """
    lines = [line for line in said.splitlines() if line.strip()]
    sentences = [line.removeprefix(_SPEAKS) for line in lines if line.startswith(_SPEAKS)]
    if sentences:
        error = ClaryError("\n".join(sentences))
    elif code < 0:
        error = ClaryError(f"the program {program} was killed by {signal.Signals(-code).name}")
    else:
        last = lines[-1] if lines else "it does not say why"
        error = ClaryError(f"the program {program} ended with exit code {code}: {last}")
    error.exit_code = code if code > 0 else 128 - code
    return error


class _Received:
    """The signals that came in, and where they go once there is a child."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._forward: Callable[[int], None] | None = None

    @property
    def forward(self) -> Callable[[int], None] | None:
        return self._forward

    @forward.setter
    def forward(self, forward: Callable[[int], None]) -> None:
        self._forward = forward
        for number in self.numbers:
            forward(number)

    def handle(self, number: int, _frame: FrameType | None) -> None:
        self.numbers.append(number)
        if self._forward is not None:
            self._forward(number)


@contextmanager
def _handling_signals() -> Iterator[_Received]:
    received = _Received()
    earlier = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        for number, handler in earlier.items():
            # nohup ignores SIGHUP, and a shell SIGINT for what it puts in the background.
            if handler is not signal.SIG_IGN:
                signal.signal(number, received.handle)
        yield received
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _end_of(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process while signals are handled, and return what `Popen.wait` does."""
    if not hasattr(os, "pidfd_open"):  # anywhere but on Linux
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_LONGEST_WAIT_S)
    handle = os.pidfd_open(process.pid)
    try:
        ending = select.poll()
        ending.register(handle, select.POLLIN)
        while not ending.poll(_LONGEST_WAIT_S * 1000):
            pass
    finally:
        os.close(handle)
    return process.wait()


def _forward(process: subprocess.Popen[bytes], number: int) -> None:
    if number == signal.SIGINT and _terminal_reaches_us():
        return
    process.send_signal(number)


def _terminal_reaches_us() -> bool:
    """Whether Ctrl-C in the terminal is delivered to this process, and so to its child."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)
