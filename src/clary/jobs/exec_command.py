"""Runs somebody's command as if nobody stood between it and the terminal."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from clary.errors import ClaryError

EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127

# What is passed on to the command. SIGTSTP and the like reach it by the terminal alone.
_PASSED_ON = frozenset(
    {
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
    }
)
# What the terminal sends, it sends to the command too.
_FROM_TERMINAL = 0x80  # SI_KERNEL
_LONGEST_WAIT_S = 1.0


class CommandRefused(ClaryError):
    """The command cannot be run; `exit_code` is what a shell would end with."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def check_command(command: Sequence[str]) -> None:
    """See whether the system finds the command.

    Raises:
        CommandRefused: it does not, or may not run it.
    """
    name = command[0]
    if shutil.which(name) is not None:
        return
    if os.sep in name and Path(name).exists():
        raise CommandRefused(
            f"{name} cannot be run: it is no program that you may run; "
            "run it by its interpreter, or allow it by chmod +x",
            EXIT_NOT_EXECUTABLE,
        )
    raise CommandRefused(
        f"the command {name!r} was not found: check its name, or give its path", EXIT_NOT_FOUND
    )


class Command:
    """A command that runs. Made, and waited for, on the main thread: signals come there.

    While there is one, this process is told of signals by `wait` alone. Who sends one to the whole
    process group, as `timeout` and some schedulers do, reaches the command twice: by itself and
    through this process, which cannot tell that from a signal for itself and loses none.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it: standard streams, terminal and process group are this process's.

        Args:
            command: the program and its arguments.
            environment: what it gets.

        Raises:
            CommandRefused: the system does not run it.
        """
        # Who ignores the end of children, cannot wait for one.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._watched = {*_PASSED_ON, signal.SIGCHLD}
        earlier = signal.pthread_sigmask(signal.SIG_BLOCK, self._watched)
        try:
            self.pid = os.posix_spawnp(
                command[0],
                list(command),
                dict(environment),
                setsigmask=earlier,
                # Python ignores them, and what it starts would, too.
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
            )
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
            raise CommandRefused(
                f"{command[0]} cannot be run ({error.strerror}): run it by its interpreter",
                EXIT_NOT_EXECUTABLE,
            ) from error
        self._earlier = earlier

    def wait(self) -> None:
        """Pass signals on until the command has ended; its last figures can still be read."""
        ends = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, self.pid, ends) is None:
            came = signal.sigtimedwait(self._watched, _LONGEST_WAIT_S)
            if came is not None and came.si_signo in _PASSED_ON and came.si_code != _FROM_TERMINAL:
                os.kill(self.pid, came.si_signo)

    def end(self) -> int:
        """Let go of the command that has ended; its exit code as a shell counts."""
        _, status = os.waitpid(self.pid, 0)
        # What came while it ended was meant for it.
        while signal.sigtimedwait(self._watched, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, self._earlier)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code
