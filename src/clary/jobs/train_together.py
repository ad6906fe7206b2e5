"""torchrun, without its tracebacks: `python -m clary.jobs.train_together ARGUMENTS-OF-TORCHRUN`.

torchrun answers a stop, or a process that fails, with tracebacks of its own; here the processes
have said what there is to say, and what remains is the exit code.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from clary.jobs.program import run_program

EXIT_KILLED = 128


def main(arguments: Sequence[str]) -> int:
    """Run the processes; returns the exit code of the one that failed first, or 0."""
    # The level that torchrun's own loggers take when they are made.
    os.environ.setdefault("LOGLEVEL", "CRITICAL")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        torchrun(list(arguments))
    except SignalException as error:
        return EXIT_KILLED + int(error.sigval)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode >= 0 else EXIT_KILLED - failure.exitcode
    return 0


if __name__ == "__main__":
    run_program(main)
