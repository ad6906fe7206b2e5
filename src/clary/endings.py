"""How every process of Clary ends, whichever tower it belongs to.

| what ends it                | on stderr               | exit code           |
|-----------------------------|-------------------------|---------------------|
| `main` returns              |                         | what it returns     |
| a ClaryError                | `clary: <its sentence>` | its `exit_code`     |
| Ctrl-C                      | `clary: stopped`        | 130                 |
| the reader of stdout leaves |                         | 141                 |
| anything else               | the traceback           | 1: a bug of Clary's |
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence

from clary.errors import ClaryError

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def exit_code(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run `main`; what ends it becomes one sentence on stderr and the exit code returned."""
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
        # What is left in the buffer goes nowhere, or Python complains once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    return code


def _say(sentences: str, code: int) -> int:
    """Print each line, for an error may hold several sentences, as one write."""
    lines = (f"clary: {line}\n" for line in sentences.splitlines())
    sys.stderr.write("".join(lines))
    sys.stderr.flush()
    return code
