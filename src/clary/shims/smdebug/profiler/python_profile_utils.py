"""When functions were recorded: modes of a training, and places within a step."""

from __future__ import annotations

from enum import Enum, IntEnum


class PythonProfileModes(IntEnum):
    """What the training was doing."""

    TRAIN = 1
    EVAL = 2
    PREDICT = 3
    GLOBAL = 4
    PRE_STEP_ZERO = 5
    POST_HOOK_CLOSE = 6


class StepPhase(Enum):
    """Where in a step a recording begins or ends."""

    START = "start"
    STEP_START = "stepstart"
    FORWARD_PASS_END = "forwardpassend"
    STEP_END = "stepend"
    END = "end"


def str_to_python_profile_mode(mode_str: str) -> PythonProfileModes:
    """The mode of a name as folders bear it, such as `prestepzero`.

    Raises:
        ValueError: there is no such mode.
    """
    for mode in PythonProfileModes:
        if python_profile_mode_to_str(mode) == mode_str:
            return mode
    names = ", ".join(python_profile_mode_to_str(mode) for mode in PythonProfileModes)
    raise ValueError(f"{mode_str!r} is no mode: use one of {names}")


def python_profile_mode_to_str(mode: PythonProfileModes) -> str:
    """Such as `prestepzero`."""
    return PythonProfileModes(mode).name.lower().replace("_", "")
