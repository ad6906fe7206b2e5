"""The environment of shells, kernels and child processes whose AWS is this machine.

`REMEMBERED` keeps in the environment itself what was there before, so that AWS can be given back
by any process that has it, however often it was taken.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Literal, get_args

from clary.errors import UsageError
from clary.formats.client_environment import client_environment
from clary.formats.credentials import Credentials
from clary.formats.service_record import ServiceRecord
from clary.settings import Settings

REMEMBERED = "CLARY_EARLIER_ENVIRONMENT"
Shell = Literal["bash", "zsh", "sh", "fish"]
# A variable's new value, None where it is to be unset.
Changes = Mapping[str, "str | None"]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def take_aws(
    settings: Settings, record: ServiceRecord, environment: Mapping[str, str]
) -> dict[str, str | None]:
    """What to change so that AWS is the service.

    Args:
        settings: whose home it serves.
        record: where it listens.
        environment: what is to be changed.

    Raises:
        FormatError: the credentials are damaged, or of a later version.
        StorageError: the home cannot be written.
        UsageError: new credentials are needed, and the environment's region is no region's name.
    """
    before = dict(environment)
    for name, value in give_back_aws(environment).items():
        if value is None:
            before.pop(name, None)
        else:
            before[name] = value
    added = client_environment(settings, record, Credentials.ensure(settings, before), before)
    changes: dict[str, str | None] = {name: value or None for name, value in added.items()}
    remembered = {name: before.get(name) for name in changes}
    return {**changes, REMEMBERED: json.dumps(remembered, separators=(",", ":"))}


def give_back_aws(environment: Mapping[str, str]) -> dict[str, str | None]:
    """What to change so that all is as it was before `take_aws`; nothing where it never was.

    Raises:
        UsageError: what was remembered was changed by hand.
    """
    text = environment.get(REMEMBERED)
    if not text:
        return {}
    try:
        remembered = json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"{REMEMBERED} was changed by hand: open a new shell to have AWS back"
        ) from error
    return {**remembered, REMEMBERED: None}


def changed(environment: Mapping[str, str], changes: Changes) -> dict[str, str]:
    """An environment with some changes."""
    kept = {name: value for name, value in environment.items() if name not in changes}
    return {**kept, **{name: value for name, value in changes.items() if value is not None}}


def commands(changes: Changes, shell: Shell) -> str:
    """The lines that make a shell change its environment."""
    lines = []
    for name, value in sorted(changes.items()):
        if not _NAME.fullmatch(name):
            continue  # no shell could have set it
        if shell == "fish":
            lines.append(f"set -e {name}" if value is None else f"set -gx {name} {_fish(value)}")
        else:
            lines.append(
                f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}"
            )
    return "".join(f"{line};\n" for line in lines)


def usual_shell(environment: Mapping[str, str]) -> Shell:
    """The shell that a person uses, as `SHELL` says; the words of bash suit all but fish."""
    name = environment.get("SHELL", "").rpartition("/")[2]
    return next((shell for shell in get_args(Shell) if shell == name), "bash")


def _fish(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
