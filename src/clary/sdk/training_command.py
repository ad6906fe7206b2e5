"""The command line that trains with some hyperparameters: what a person types to do it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from clary.formats.builtin_algorithm import TrainingRequest
from clary.formats.training_options import TrainingOptions


def training_command(data: str, hyperparameters: Mapping[str, str]) -> str:
    """`clary train` with hyperparameters of the built-in algorithm; no digit is lost.

    Args:
        data: a path or a known name.
        hyperparameters: those of a training job.

    Raises:
        UsageError: one is unknown or out of bounds.
    """
    options = TrainingRequest.from_hyperparameters(hyperparameters).options
    words = ["clary", "train", data]
    for name, value in options.model_dump(mode="json", exclude_unset=True).items():
        words += _words(name, value)
    return shlex.join(words)


def _words(name: str, value: Any) -> list[str]:
    field, option = TrainingOptions.model_fields[name], name.replace("_", "-")
    if value is None or value == []:
        return []  # nothing can be typed for them, and they are the default
    if field.annotation is bool:
        prefix = "--no-" if field.default else "--"
        return [] if value == field.default else [f"{prefix}{option}"]
    if isinstance(value, list):
        return [f"--{option}", ",".join(map(str, value))]
    return [f"--{option}", value if isinstance(value, str) else json.dumps(value)]
