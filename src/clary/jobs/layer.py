"""A Python environment on top of this interpreter's: `python -m clary.jobs.layer DIR install …`.

The arguments are pip's. What this interpreter has and satisfies stays where it is, so that torch
is not brought again; what is missing, or has to be another version, goes into DIR and comes
first. DIR is a virtual environment, made when it is not there; `pip` and `python -m pip` in it
are this program, so that what a job installs goes into its layer.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from clary.errors import ClaryError, UsageError
from clary.formats.files import storage_errors
from clary.jobs.program import run_program

_BASE_FILE = "clary_base.pth"
# uv's plan: " + name==version", " + name @ url", " + name==version (from url)".
_PLANNED = re.compile(r"^ \+ (?P<name>[^=\s]+)(?P<version>\S*)(?: \(from | @ |$)(?P<url>[^)]*)")
_KEPT_LINES = 12
# What uv refuses and what changes nothing about which packages are installed. Options that do,
# such as --proxy or --root, are refused by name.
_PIPS_FLAGS = frozenset(
    {
        *("--check-build-dependencies", "--debug", "--disable-pip-version-check"),
        *("--ignore-installed", "--no-cache-dir", "--no-clean", "--no-input"),
        *("--no-python-version-warning", "--no-warn-conflicts", "--no-warn-script-location"),
        *("--prefer-binary", "--quiet", "--require-virtualenv", "--use-pep517", "--user"),
    }
)
_PIPS_OPTIONS = frozenset(
    {
        *("--default-timeout", "--exists-action", "--log", "--log-file", "--progress-bar"),
        *("--resume-retries", "--retries", "--root-user-action", "--src", "--timeout"),
        *("--upgrade-strategy", "--use-deprecated", "--use-feature"),
    }
)
# Flags of one letter may stand together, as in -Uq.
_LETTERS = re.compile("-[UqvI]+")
_PIPS_LETTERS = "qI"
_PIP_MODULE = """import subprocess
import sys

sys.exit(subprocess.call([{python!r}, "-m", "clary.jobs.layer", {folder!r}, *sys.argv[1:]]))
"""


def main(arguments: Sequence[str]) -> int:
    """Install into the layer, or answer `pip list` and the like from this interpreter.

    Raises:
        ClaryError: uv refuses; its last lines are in the sentence.
        UsageError: no folder is given.
    """
    if not arguments:
        raise UsageError("too few arguments: give the folder of the environment, then those of pip")
    folder = Path(arguments[0]).absolute()
    words = list(arguments[1:])
    make_layer(folder)
    if not words:
        return 0
    if words[0] != "install":
        return subprocess.run([*_uv("pip"), *words], check=False).returncode
    wanted = _without_pips_own(words[1:])
    planned = _plan(wanted)
    if planned:
        _run([*_uv("pip", "install", "--no-deps", "--python", _python(folder)), *planned])
    return 0


def make_layer(folder: Path) -> None:
    """Make the environment unless it is there.

    Raises:
        ClaryError: uv refuses.
        StorageError: the folder cannot be written.
    """
    python = Path(_python(folder))
    if python.exists() and next(folder.glob(f"lib/*/site-packages/{_BASE_FILE}"), None):
        return
    _run([*_uv("venv", "--allow-existing", "--python", sys.executable), str(folder)])
    packages = next(folder.glob("lib/python*/site-packages"))
    base = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    with storage_errors(folder):
        (packages / "pip").mkdir(exist_ok=True)
        (packages / "pip" / "__init__.py").touch()
        (packages / "pip" / "__main__.py").write_text(
            _PIP_MODULE.format(python=sys.executable, folder=str(folder))
        )
        (packages / _BASE_FILE).write_text(
            "".join(f"import site; site.addsitedir({path!r})\n" for path in base)
        )
        pip = f'"{sys.executable}" -m clary.jobs.layer "{folder}"'
        # This interpreter's own torchrun would start processes that do not see the layer.
        torchrun = f'"{python}" -m torch.distributed.run'
        for name, command in (("pip", pip), ("pip3", pip), ("torchrun", torchrun)):
            script = folder / "bin" / name
            script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            script.chmod(0o755)


def _plan(wanted: Sequence[str]) -> list[str]:
    """What this interpreter lacks, each at the version that uv has chosen."""
    said = _run([*_uv("pip", "install", "--dry-run", "--python", sys.executable), *wanted])
    matches = (_PLANNED.match(line) for line in said.splitlines())
    return [
        f"{match['name']} @ {match['url']}" if match["url"] else match["name"] + match["version"]
        for match in matches
        if match is not None
    ]


def _without_pips_own(words: Sequence[str]) -> list[str]:
    """The arguments without those that only pip knows, and without what hides uv's plan."""
    kept: list[str] = []
    remaining = iter(words)
    for word in remaining:
        name, equals, _ = word.partition("=")
        if name in _PIPS_OPTIONS:
            if not equals:
                next(remaining, None)
        elif _LETTERS.fullmatch(word):
            letters = "".join(letter for letter in word if letter not in _PIPS_LETTERS)
            kept += [letters] if letters != "-" else []
        elif word not in _PIPS_FLAGS:
            kept.append(word)
    return kept


def _run(command: Sequence[str]) -> str:
    index = os.environ.get("PIP_INDEX_URL")  # uv has a variable of its own
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={
            **({"UV_DEFAULT_INDEX": index} if index else {}),
            **os.environ,
            "NO_COLOR": "1",
            "UV_NO_PROGRESS": "1",
        },
    )
    if done.returncode != 0:
        lines = [line.strip(" ×╰─▶│") for line in done.stdout.splitlines()]
        told = [line for line in lines if line and not line.startswith("Using Python")]
        raise ClaryError("the requirements cannot be installed: " + " ".join(told[-_KEPT_LINES:]))
    return done.stdout


def _uv(*words: str) -> list[str]:
    return [sys.executable, "-m", "uv", *words]


def _python(folder: Path) -> str:
    return str(folder / "bin" / "python")


if __name__ == "__main__":
    run_program(main)
