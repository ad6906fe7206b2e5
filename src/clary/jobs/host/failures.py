"""Why a program failed, in one text: as users of SageMaker know it from FailureReason."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Sequence

from clary.formats.job_directory import FAILURE_LIMIT, JobDirectory

# `ValueError: …`, `botocore.exceptions.ClientError: …`, and the bare `KeyboardInterrupt`.
_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:: .*)?$")
_RANK = re.compile(r"^\[rank\d+\]:\s?")
# What torchrun says after the error of the process that failed.
_AFTERMATH = "ChildFailedError"


def written_failure(directory: JobDirectory) -> str:
    """What the program has said in `output/failure`; empty where it has said nothing."""
    try:
        said = directory.failure.read_text(encoding="utf-8", errors="replace")[:FAILURE_LIMIT]
    except OSError:
        return ""
    return said if said.strip() else ""


def last_error(lines: Iterable[str]) -> str:
    """The last line of the last traceback, or the last line that says anything.

    Args:
        lines: the end of what the program printed.
    """
    found = last = ""
    inside = False
    for raw in lines:
        line = _RANK.sub("", raw)
        if line.strip():
            last = line.strip()
        if line.startswith("Traceback (most recent call last)"):
            inside = True
        elif inside and line and not line[0].isspace():
            inside = False
            if _EXCEPTION.match(line) and _AFTERMATH not in line:
                found = line.strip()
    return found or last


def script_failure(exit_code: int, lines: Sequence[str], command: str) -> str:
    """What the training toolkit writes about a script that failed.

    Args:
        exit_code: as a shell counts.
        lines: the end of what the program printed.
        command: the command line.
    """
    message = killed_by(exit_code) or last_error(lines)
    text = f'ExecuteUserScriptError:\nExitCode {exit_code}\nErrorMessage "'
    rest = f'"\nCommand "{command}"'
    room = max(FAILURE_LIMIT - 64 - len(text) - len(rest), 200)
    return text + message[-room:] + rest


def failure_reason(exit_code: int, failure: str) -> str:
    """FailureReason of a job whose program ended with `exit_code`.

    Args:
        exit_code: as a shell counts.
        failure: the content of `output/failure`, or another reason.
    """
    ending = f", exit code: {exit_code}"
    head = f"AlgorithmError: {failure.strip()}"
    return head[: FAILURE_LIMIT - len(ending)] + ending


def killed_by(exit_code: int) -> str | None:
    """A sentence about the signal that an exit code stands for; None for SIGTERM and no signal."""
    try:
        number = signal.Signals(exit_code - 128)
    except ValueError:
        return None
    if number == signal.SIGKILL:
        return "killed by SIGKILL, most often because memory ran out"
    return None if number in {signal.SIGTERM, signal.SIGINT} else f"killed by {number.name}"
