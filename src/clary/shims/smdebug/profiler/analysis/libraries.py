"""Libraries that only some of the analysis needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def library(name: str, purpose: str) -> Any:
    """A module that somebody's environment may not have.

    Args:
        name: such as `matplotlib.figure`.
        purpose: what needs it, in the plural, such as `charts`.

    Raises:
        ImportError: it is not installed, or cannot be loaded.
    """
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == package:
            raise ImportError(
                f"{purpose} need {package}, which this Python has not: pip install {package}"
            ) from error
        raise
