"""What a model is doing at a step."""

from __future__ import annotations

from clary.formats.tensor_log.entries import Mode as ModeKeys

from ..exceptions import SMDebugValueError

ALLOWED_MODES = [ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.PREDICT, ModeKeys.GLOBAL]
ALLOWED_MODE_NAMES = [mode.name for mode in ALLOWED_MODES]
MODE_STEP_PLUGIN_NAME = "mode_steps"
MODE_PLUGIN_NAME = "modes"


def checked_mode(mode: object) -> ModeKeys:
    """The mode, and neither its name nor its number.

    Raises:
        SMDebugValueError: it is no mode.
    """
    if not isinstance(mode, ModeKeys):
        names = ", ".join(f"modes.{one.name}" for one in ModeKeys)
        raise SMDebugValueError(f"{mode!r} is no mode: give one of {names}")
    return mode


def str_to_mode_keys(mode: str) -> ModeKeys:
    """The mode of a name, in any case.

    Raises:
        ValueError: there is no mode of that name.
    """
    if mode.upper() not in ALLOWED_MODE_NAMES:
        offered = ", ".join(ALLOWED_MODE_NAMES)
        raise ValueError(f"{mode!r} is no mode: use one of {offered}")
    return ModeKeys[mode.upper()]


def mode_keys_to_str(mode: ModeKeys) -> str:
    """The name of a mode."""
    return mode.name


__all__ = [
    "ALLOWED_MODES",
    "ALLOWED_MODE_NAMES",
    "ModeKeys",
    "mode_keys_to_str",
    "str_to_mode_keys",
]
