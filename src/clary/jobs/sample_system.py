"""Samples the machine beside a process, until it ends: `python -m clary.jobs.sample_system`.

For trainings that keep their own Python busy. It ends with the process that has started it, or on
SIGTERM, after a last snapshot; Ctrl-C in the terminal is for the training alone.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from clary.formats.profiler_configuration import DEFAULT_INTERVAL_MS
from clary.jobs.program import ProgramParser, run_program

_SECONDS_BETWEEN_LOOKS = 1.0


def main(arguments: Sequence[str]) -> int:
    """Sample until the parent has ended, or SIGTERM comes."""
    parser = ProgramParser("sample_system", "Sample the machine while the parent process runs.")
    parser.add_argument("folder", type=Path, help="the profiler's folder of this host")
    parser.add_argument("--parent", type=int, required=True, help="the process to end with")
    parser.add_argument("--node", default="algo-1", help="the host's name")
    parser.add_argument("--interval-ms", type=int, default=DEFAULT_INTERVAL_MS)
    parser.add_argument(
        "--configuration", type=Path, help="profilerconfig.json, where there is one"
    )
    options = parser.parse_args(arguments)

    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    # What wakes the wait for the end.
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: None)

    from clary.profiler.sampling.system_sampler import SystemSampler

    sampler = SystemSampler(
        options.folder,
        options.node,
        options.interval_ms,
        root_pid=options.parent,
        configuration_file=options.configuration,
    )
    sampler.start()
    _wait_for_the_end(options.parent, reading)
    sampler.stop()
    return 0


def _wait_for_the_end(parent: int, asked: int) -> None:
    """Until the parent has ended, or there is something to read."""
    watched = [asked]
    patience_s: float | None = _SECONDS_BETWEEN_LOOKS
    with suppress(OSError, AttributeError):
        watched.append(os.pidfd_open(parent))
        patience_s = None  # Linux says it at once; elsewhere it is looked for each second
    while os.getppid() == parent:
        if select.select(watched, [], [], patience_s)[0]:
            return


if __name__ == "__main__":
    run_program(main)
