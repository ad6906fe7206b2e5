"""`clary env`, `clary exec` and `clary kernel`: programs whose AWS is this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Group, Parameter

from clary.cli.parser import Switch
from clary.errors import UsageError
from clary.sdk.environment import (
    Shell,
    changed,
    commands,
    give_back_aws,
    take_aws,
    usual_shell,
)
from clary.sdk.kernels import install_kernel
from clary.sdk.office import ensure_running
from clary.sdk.processes import become_program
from clary.settings import Settings

EXIT_NOT_FOUND = 127
EXIT_NOT_EXECUTABLE = 126

# As `formats.profiler_configuration` has them.
IntervalMs = Literal[100, 200, 500, 1000, 5000, 60000]
PROFILED = Group("Where its time goes", sort_key=1)
_PROFILED = "clary exec --profile -- python train.py"

kernel = App(name="kernel", help="A Jupyter kernel whose AWS is this machine.")


def env(*, unset: Switch = False, shell: Shell | None = None) -> int:
    """Print what makes Clary the AWS of a shell: `eval "$(clary env)"`.

    In fish: `clary env | source`. It contains the keys.

    Args:
        unset: Print what gives AWS back, all as it was before.
        shell: The shell that will read it; the one of SHELL by default.

    Raises:
        UsageError: what was remembered for giving AWS back was changed by hand.
        ServiceError: the service cannot be started.
    """
    language = shell or usual_shell(os.environ)
    if unset:
        changes = give_back_aws(os.environ)
    else:
        settings = Settings.from_environment()
        changes = take_aws(settings, ensure_running(settings), os.environ)
    sys.stdout.write(commands(changes, language))
    return 0


def exec_(
    *command: str,
    profile: Annotated[Switch, Parameter(group=PROFILED)] = False,
    full: Annotated[Switch, Parameter(group=PROFILED)] = False,
    output: Annotated[Path | None, Parameter(group=PROFILED)] = None,
    interval_ms: Annotated[IntervalMs | None, Parameter(group=PROFILED)] = None,
) -> int:
    """Run a program whose AWS is this machine: `clary exec -- python train_and_deploy.py`; or see
    where the time of any program goes: `clary exec --profile -- python train.py`.

    Args:
        command: The program and its arguments.
        profile: Leave AWS and the service alone; sample the machine, record the steps of Python
            programs that train with torch, and sum it up at the end.
        full: Record torch's operators in ten steps, too.
        output: A new folder for what is recorded; one in clary-profile by default.
        interval_ms: Between two looks at the machine; 500 by default.

    Raises:
        UsageError: no program is named, or an option needs --profile.
    """
    given = {"--full": full, "--output": output, "--interval-ms": interval_ms}
    if profile:
        if not command:
            raise UsageError(f"`clary exec --profile` needs a program, as in `{_PROFILED}`")
        words = ["--profile", *(["--full"] if full else [])]
        for option, value in (("--output", output), ("--interval-ms", interval_ms)):
            words += [] if value is None else [option, str(value)]
        become_program("exec", [*words, "--", *command])
    for option in (option for option, value in given.items() if value):
        raise UsageError(f"{option} says how --profile records: add --profile")
    return execute(command)


def execute(command: Sequence[str]) -> int:
    """Become a program whose AWS is this machine.

    Args:
        command: the program and its arguments, perhaps after `--`.

    Raises:
        UsageError: no program is named.
        ServiceError: the service cannot be started.
    """
    words = list(command[1:] if command[:1] == ["--"] else command)
    if not words:
        raise UsageError(
            "`clary exec` needs a program: `clary exec -- aws s3 ls` runs one whose AWS is this "
            f"machine, `{_PROFILED}` sees where its time goes"
        )
    settings = Settings.from_environment()
    changes = take_aws(settings, ensure_running(settings), os.environ)
    environment = changed(os.environ, changes)
    sys.stdout.flush()
    try:
        os.execvpe(words[0], words, environment)
    except FileNotFoundError:
        print(f"clary: there is no program {words[0]}", file=sys.stderr)
        return EXIT_NOT_FOUND
    except OSError as error:
        print(f"clary: {words[0]} cannot be run: {error.strerror}", file=sys.stderr)
        return EXIT_NOT_EXECUTABLE


def parted_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options of `clary exec`, and the command behind them, whose own options are its own.

    Args:
        words: what follows `clary exec`.
    """
    place = 0
    while place < len(words) and words[place].startswith("-") and words[place] != "--":
        place += 2 if words[place] in {"--output", "--interval-ms"} else 1
    rest = list(words[place:])
    return list(words[:place]), rest[1:] if rest[:1] == ["--"] else rest


@kernel.command
def install(
    *,
    name: str = "clary",
    display_name: str = "Python (Clary)",
    python: str | None = None,
    prefix: Path | None = None,
) -> int:
    """Add a kernel to Jupyter: choose it in a notebook, and the notebook's AWS is this machine.

    Args:
        name: The kernel's name; one of that name is replaced.
        display_name: What Jupyter shows.
        python: The interpreter that has the notebook's packages, ipykernel among them; the one
            that runs Clary by default.
        prefix: Install below this folder (share/jupyter/kernels) rather than for the user.

    Raises:
        UsageError: the name is not allowed, or the interpreter has no ipykernel.
        StorageError: the folder cannot be written.
    """
    interpreter = sys.executable if python is None else shutil.which(python)
    if interpreter is None:
        raise UsageError(
            f"--python is {python!r} but there is no such program: give the path of an interpreter"
        )
    folder = install_kernel(
        Settings.from_environment(),
        name=name,
        display_name=display_name,
        python=os.path.abspath(interpreter),  # noqa: PTH100 - a link to it is an environment
        prefix=prefix,
    )
    print(f"Installed the kernel {name} in {folder}")
    return 0
