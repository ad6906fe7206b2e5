"""Every benchmark, one after the other, and at the end one table of all that they have found.

    python benchmarks/summary.py [NAME …] [--quick] [--rows FILE]

This is what `make bench` runs. A benchmark that fails is named, the others go on, and the whole
ends with 1; one that cannot be run on this machine says why and is left out. Ctrl-C ends the one
that runs and shows what is known by then. `--rows` keeps the lines behind the table.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from measuring import conditions
from rows import LEFT_OUT, read_rows, table

HERE = Path(__file__).resolve().parent
SDK = HERE.parent / ".clients" / "notebook" / "bin" / "python"
# In the order of the house: training, tuning, watching, the service, endpoints.
BENCHMARKS = (
    "finetune",
    "memory",
    "tuning",
    "tuning_quality",
    "tuning_photographs",
    "debugger",
    "illnesses",
    "profiler",
    "slow_trainings",
    "service_latency",
    "s3_throughput",
    "http_layers",
    "serving",
    "serving_faults",
)
# One that is told to end closes what it has started; then it is ended.
PATIENCE_S = 60.0


@dataclass
class Summary:
    """What has become of the benchmarks so far."""

    rows: Path
    failed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    interrupted: bool = False

    def __str__(self) -> str:
        found = read_rows(self.rows)
        parts = [table(found)] if found else []
        for what, names in (("left out", self.left_out), ("FAILED", self.failed)):
            if names:
                parts.append(f"{what}: {', '.join(names)}")
        if self.interrupted:
            parts.append("interrupted: what came later is missing")
        return "\n\n".join(parts)

    @property
    def code(self) -> int:
        """What the program ends with."""
        return 130 if self.interrupted else int(bool(self.failed))


def run_all(
    scripts: Sequence[Path], rows: Path, *, quick: bool = False, sdk: Path = SDK
) -> Summary:
    """Run benchmarks in turn; what they print goes where this program's output goes.

    Args:
        scripts: the benchmarks.
        rows: the file that takes what they find.
        quick: only show that they run.
        sdk: a Python with the SageMaker SDK, for those that time it where it is there.
    """
    summary = Summary(rows)
    for script in scripts:
        command = [sys.executable, str(script), "--rows", str(rows)]
        if quick:
            command.append("--quick")
        if script.stem == "service_latency" and sdk.exists():
            command += ["--sdk", str(sdk)]
        print(f"\n== {script.stem}{' --quick' if quick else ''}", flush=True)
        began = time.monotonic()
        code = _run(command)
        if code is None:
            summary.interrupted = True
            return summary
        ended = {0: "done", LEFT_OUT: "left out"}.get(code, f"FAILED with {code}")
        print(f"== {script.stem}: {ended} after {time.monotonic() - began:.0f} s", flush=True)
        if code == LEFT_OUT:
            summary.left_out.append(script.stem)
        elif code:
            summary.failed.append(f"{script.stem} ({code})")
    return summary


def _run(command: Sequence[str]) -> int | None:
    """The exit code of a benchmark; None when it was interrupted."""
    # A group of its own: what a benchmark has started is told to end with it, and told once.
    process = subprocess.Popen(command, preexec_fn=os.setpgrp)  # noqa: PLW1509
    try:
        return process.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(ProcessLookupError):  # it ends meanwhile
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(PATIENCE_S)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return None


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    # No choices: argparse would hold the empty list that no name comes to against them.
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="only show that they run")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="keeps the lines of the table")
    given = parser.parse_args(arguments)
    unknown = set(given.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    names = [name for name in BENCHMARKS if not given.names or name in given.names]
    # Ending by SIGTERM is like Ctrl-C, also where a shell lets its background jobs ignore that:
    # no contestant stays behind.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="clary-bench-") as work:
        rows = given.rows or Path(work) / "rows.jsonl"
        summary = run_all([HERE / f"{name}.py" for name in names], rows, quick=given.quick)
        print(f"\n{conditions(date.today().isoformat())}\n\n{summary}", flush=True)
    return summary.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
