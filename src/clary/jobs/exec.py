"""Runs a command and sees where its time goes: `python -m clary.jobs.exec --profile -- COMMAND…`.

The machine is sampled beside it, and in Python processes that train with torch the steps are
recorded. The command keeps the terminal, the signals and the exit code. When it has ended, what
was seen is summed up on stderr. No service is needed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from argparse import REMAINDER
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from clary.errors import UsageError
from clary.formats.client_environment import SHIMS
from clary.formats.files import storage_errors, write_json
from clary.formats.launch import FIRST_HOST
from clary.formats.profiler_configuration import (
    CONFIGURATION_VARIABLE,
    DEFAULT_INTERVAL_MS,
    FOLDER_VARIABLE,
    FULL_OPERATORS,
    INTERVALS_MS,
    NODE_VARIABLE,
    ProfilerConfiguration,
)
from clary.jobs.exec_command import Command, CommandRefused, check_command
from clary.jobs.program import ProgramParser, run_program

CONFIGURATION_FILE = "profilerconfig.json"
PAGE_FILE = "profile.html"
_DEFAULT_OUTPUT = Path("clary-profile")
_EXAMPLE = "clary exec --profile -- python train.py"


def main(arguments: Sequence[str]) -> int:
    """Run the command, sum up what was seen, and return the command's exit code.

    Raises:
        UsageError: there is no command, or the folder holds a profile already.
        CommandRefused: the command cannot be run.
        StorageError: the folder cannot be written.
    """
    parser = ProgramParser("exec", "Run a command and see where its time goes.")
    parser.add_argument("--profile", action="store_true", help="sample the machine and the steps")
    parser.add_argument("--full", action="store_true", help="torch's operators of ten steps, too")
    parser.add_argument("--output", type=Path, help="the folder for what is seen; must be new")
    parser.add_argument(
        "--interval-ms", type=int, choices=INTERVALS_MS, default=DEFAULT_INTERVAL_MS
    )
    parser.add_argument("command", nargs=REMAINDER)
    own, behind = _parted(arguments)
    options = parser.parse_args(own)
    command = [*options.command, *behind[0 if options.command else 1 :]]
    if not command:
        raise UsageError(f"there is no command: write one behind --, such as `{_EXAMPLE}`")
    if not options.profile:
        raise UsageError(f"nothing says what to do beside the command: `{_EXAMPLE}`")
    check_command(command)
    configuration = ProfilerConfiguration(interval_ms=options.interval_ms)
    if options.full:
        configuration = replace(configuration, operators=FULL_OPERATORS)
    folder = _new_folder(options.output, command)
    write_json(folder / CONFIGURATION_FILE, configuration.as_request())

    started_s = time.time()
    try:
        code = _run(command, folder, configuration)
    except CommandRefused:
        (folder / CONFIGURATION_FILE).unlink()
        with suppress(OSError):  # not new, or not empty
            folder.rmdir()
        raise
    _sum_up(folder, _name(command), started_s, time.time())
    return code


def _parted(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands before the first `--`, and the rest with it."""
    place = list(arguments).index("--") if "--" in arguments else len(arguments)
    return list(arguments[:place]), list(arguments[place:])


def _new_folder(wanted: Path | None, command: Sequence[str]) -> Path:
    """The folder of this profile, made."""
    if wanted is not None and any((wanted / name).exists() for name in ("system", "timeline")):
        raise UsageError(f"{wanted} holds a profile already: give --output a new folder")
    name = f"{_name(command)}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = (wanted or _DEFAULT_OUTPUT / name).absolute()
    number = 1
    with storage_errors(folder):
        while True:
            try:
                folder.mkdir(parents=True, exist_ok=wanted is not None)
            except FileExistsError:
                if wanted is not None:
                    raise
                number += 1
                folder = folder.with_name(f"{name}-{number}")
            else:
                return folder


def _name(command: Sequence[str]) -> str:
    """What a person would call it: the script, the module, or the program."""
    for before, word in zip(("", *command), command, strict=False):
        if word.endswith(".py"):
            return Path(word).stem
        if before == "-m":
            return word
    return Path(command[0]).name


def _run(command: Sequence[str], folder: Path, configuration: ProfilerConfiguration) -> int:
    running = Command(command, _environment(folder, os.environ))

    from clary.profiler.sampling.system_sampler import SystemSampler

    sampler = SystemSampler(folder, FIRST_HOST, configuration.interval_ms, root_pid=os.getpid())
    sampler.start()
    running.wait()
    sampler.stop()
    return running.end()


def _environment(folder: Path, earlier: Mapping[str, str]) -> dict[str, str]:
    """The command's environment: what Python needs to record the steps, and all that was there."""
    others = earlier.get("PYTHONPATH", "")
    return {
        **earlier,
        "PYTHONPATH": f"{SHIMS}{os.pathsep}{others}" if others else str(SHIMS),
        FOLDER_VARIABLE: str(folder),
        CONFIGURATION_VARIABLE: str(folder / CONFIGURATION_FILE),
        NODE_VARIABLE: FIRST_HOST,
    }


def _sum_up(folder: Path, name: str, started_s: float, ended_s: float) -> None:
    """Have the profile shown. What goes wrong with it, the program says itself."""
    sys.stdout.flush()
    command = [sys.executable, "-m", "clary.jobs.profile", str(folder), "--name", name]
    command += ["--started", f"{started_s:.3f}", "--ended", f"{ended_s:.3f}"]
    command += ["-o", str(folder / PAGE_FILE)]
    environment = {"PYTHONSAFEPATH": "1", **os.environ}
    # Ctrl-C reaches the program, too. What the command ended with is said all the same.
    with suppress(KeyboardInterrupt):
        # stdout is the command's.
        subprocess.run(command, stdout=sys.stderr, env=environment, check=False)


if __name__ == "__main__":
    run_program(main, computes=False)
