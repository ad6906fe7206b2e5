"""When a hook saves.

A step of a mode is saved when `start_step ≤ step < end_step` and it is a multiple of
`save_interval`, or when it is one of `save_steps`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from clary.debugger.schedule import DEFAULT_INTERVAL, Schedule, Window

from ..exceptions import SMDebugTypeError, SMDebugValueError
from .modes import ModeKeys

_KEYS = ("save_interval", "start_step", "end_step", "save_steps")


class SaveConfigMode:
    """When a hook saves in one mode. What is None is the default: every 500 steps from 0 on."""

    def __init__(
        self,
        save_interval: int | str | None = None,
        start_step: int | str | None = None,
        end_step: int | str | None = None,
        save_steps: Iterable[int] | None = None,
    ) -> None:
        """Check what is given.

        Raises:
            SMDebugValueError: something is no whole number, or the interval is less than 1.
        """
        self.save_interval = _whole("save_interval", save_interval, DEFAULT_INTERVAL, least=1)
        self.start_step = _whole("start_step", start_step, 0)
        self.end_step = None if end_step is None else _whole("end_step", end_step, 0)
        self.save_steps = [_whole("save_steps", step, 0) for step in save_steps or ()]

    @classmethod
    def from_dict(
        cls, params: Mapping[str, Any], default_values: Mapping[str, Any] | None = None
    ) -> SaveConfigMode:
        """From a dictionary; what it leaves out is taken from `default_values`.

        Raises:
            SMDebugValueError: something is no whole number, or the interval is less than 1.
        """
        given = {**(default_values or {}), **params}
        return cls(**{key: given.get(key) for key in _KEYS})

    def to_json_dict(self) -> dict[str, Any]:
        """As a dictionary."""
        return {key: getattr(self, key) for key in _KEYS}

    def should_save_step(self, step_num: int) -> bool:
        """Whether a step of this mode is saved."""
        return self.window().due(step_num)

    def window(self) -> Window:
        """The same in Clary's terms."""
        return Window(
            self.save_interval, self.start_step, self.end_step, frozenset(self.save_steps)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SaveConfigMode) and self.to_json_dict() == other.to_json_dict()

    def __hash__(self) -> int:
        return hash(self.window())

    def __repr__(self) -> str:
        return f"SaveConfigMode({self.to_json_dict()})"


class SaveConfig:
    """When a hook saves: alike in all modes, or by modes of their own in `mode_save_configs`.

    A mode that `mode_save_configs` leaves out saves as the hook says, or by default.
    """

    def __init__(
        self,
        mode_save_configs: Mapping[ModeKeys, SaveConfigMode | None] | None = None,
        save_interval: int | None = None,
        start_step: int | None = None,
        end_step: int | None = None,
        save_steps: Iterable[int] | None = None,
    ) -> None:
        """Take either the modes or the four others.

        Raises:
            SMDebugValueError: a key is no mode, or a value no SaveConfigMode.
        """
        self.mode_save_configs: dict[ModeKeys, SaveConfigMode | None]
        if mode_save_configs is None:
            steps = None if save_steps is None else list(save_steps)
            alike = (save_interval, start_step, end_step, steps)
            self.mode_save_configs = {mode: SaveConfigMode(*alike) for mode in ModeKeys}
            return
        for mode, own in mode_save_configs.items():
            if not isinstance(mode, ModeKeys) or not isinstance(own, (SaveConfigMode, type(None))):
                raise SMDebugValueError(
                    f"mode_save_configs holds {mode!r}: {own!r}: give a mode, such as "
                    "modes.TRAIN, and a SaveConfigMode"
                )
        self.mode_save_configs = {mode: mode_save_configs.get(mode) for mode in ModeKeys}

    @classmethod
    def from_dict(
        cls, params: Mapping[Any, Any], default_values: Mapping[str, Any] | None = None
    ) -> SaveConfig:
        """From modes, or their names, to SaveConfigMode or dictionaries.

        Raises:
            SMDebugValueError: a key is no mode, or a value neither of both.
        """
        own: dict[ModeKeys, SaveConfigMode | None] = {}
        for key, value in params.items():
            mode: Any = ModeKeys.__members__.get(key, key) if isinstance(key, str) else key
            given = isinstance(value, Mapping)
            own[mode] = SaveConfigMode.from_dict(value, default_values) if given else value
        return cls(own)

    @classmethod
    def parse(cls, obj: Any) -> SaveConfig:
        """From whatever people give a hook.

        Raises:
            SMDebugTypeError: it is something else.
            SMDebugValueError: a dictionary holds what is no mode.
        """
        if obj is None:
            return cls()
        if isinstance(obj, SaveConfig):
            return obj
        if isinstance(obj, SaveConfigMode):
            return cls(dict.fromkeys(ModeKeys, obj))
        if isinstance(obj, Mapping):
            return cls.from_dict(obj)
        raise SMDebugTypeError(f"{obj!r} says nothing about when to save: give a SaveConfig")

    @classmethod
    def of(cls, schedule: Schedule) -> SaveConfig:
        """What Clary's schedule says."""
        windows = {mode: schedule.window(mode) for mode in ModeKeys}
        return cls(
            {
                mode: SaveConfigMode(own.interval, own.start, own.end, sorted(own.steps))
                for mode, own in windows.items()
            }
        )

    def to_json_dict(self) -> dict[str, dict[str, Any] | None]:
        """As a dictionary, by the names of modes."""
        return {
            mode.name: None if own is None else own.to_json_dict() for mode, own in self._modes()
        }

    def to_json(self) -> str:
        """As JSON."""
        return json.dumps(self.to_json_dict())

    def get_save_config(self, mode: ModeKeys) -> SaveConfigMode:
        """When it saves in a mode."""
        return self.mode_save_configs[mode] or SaveConfigMode()

    def set_save_config(self, mode: ModeKeys, save_config_mode: SaveConfigMode) -> None:
        """Change when it saves in a mode."""
        self.mode_save_configs[mode] = save_config_mode

    def should_save_step(self, mode: ModeKeys, step_num: int) -> bool:
        """Whether a step of a mode is saved."""
        return self.get_save_config(mode).should_save_step(step_num)

    def merge_default_save_config(self, default_save_config: SaveConfig) -> None:
        """Take the modes that this leaves out from another."""
        for mode, own in self._modes():
            if own is None:
                self.mode_save_configs[mode] = default_save_config.mode_save_configs[mode]

    def schedule(self, default: SaveConfig | None = None) -> Schedule:
        """The same in Clary's terms; modes that it leaves out are taken from `default`."""
        other = default or SaveConfig()
        chosen = {mode: own or other.get_save_config(mode) for mode, own in self._modes()}
        return Schedule(modes={mode: own.window() for mode, own in chosen.items()})

    def _modes(self) -> list[tuple[ModeKeys, SaveConfigMode | None]]:
        return list(self.mode_save_configs.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SaveConfig) and self.to_json_dict() == other.to_json_dict()

    def __hash__(self) -> int:
        return hash(tuple(self.mode_save_configs.values()))

    def __repr__(self) -> str:
        return f"SaveConfig({self.to_json_dict()})"


def _whole(name: str, value: Any, default: int, *, least: int = 0) -> int:
    try:
        number = default if value is None else int(value)
    except (TypeError, ValueError):
        number = least - 1
    if number < least:
        raise SMDebugValueError(f"{name} is {value!r}: give a whole number of {least} or more")
    return number
