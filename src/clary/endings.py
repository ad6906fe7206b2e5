"""How every process of Clary ends, whichever tower it belongs to.

| what ends it                | on stderr               | exit code           |
|-----------------------------|-------------------------|---------------------|
| `main` returns              |                         | what it returns     |
| a ClaryError                | `clary: <its sentence>` | its `exit_code`     |
| Ctrl-C                      | `clary: stopped`, or    | 130                 |
|                             | what the verb says      |                     |
| the reader of stdout leaves |                         | 141                 |
| the disk is full            | `clary: the disk is …`  | 1                   |
| anything else               | the traceback           | 1: a bug of Clary's |
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Sequence

from clary.errors import ClaryError

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def exit_code(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run `main`; what ends it becomes one sentence on stderr and the exit code returned."""
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file name that the terminal's encoding lacks is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = main(arguments)
        # Here, not at the interpreter's exit, so that a reader who left is noticed inside the try.
        sys.stdout.flush()
    except ClaryError as error:
        return _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _say("stopped", EXIT_INTERRUPTED)
    except SystemExit as error:
        # What rich makes of a reader that has left, when it is the one that prints.
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return EXIT_BROKEN_PIPE
    except BrokenPipeError:
        _forget_output()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.errno not in _FULL:
            raise
        # What was to be written to a file of Clary's has a sentence already: this is the output.
        _forget_output()
        return _say(f"the disk is full ({error.strerror}): free some space and run again", 1)
    return code


def _open_standard_streams() -> None:
    """Let nothing be what a shell has closed by `>&-`.

    Otherwise the next file that is opened takes its number, and programs that are started print
    into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            taken = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, so this one
            os.set_inheritable(taken, True)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _forget_output() -> None:
    """What is left in the buffer goes nowhere, or Python complains once more when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(sentences: str, code: int) -> int:
    """Print each line, for an error may hold several sentences, as one write."""
    lines = (f"clary: {line}\n" for line in sentences.splitlines())
    sys.stderr.write("".join(lines))
    sys.stderr.flush()
    return code
