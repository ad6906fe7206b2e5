"""Clary: the SageMaker workflow for image classification on your own machine.

Importing this package is cheap and loads no torch; `clary.vision` loads what it needs when a
name of it is first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def load_ipython_extension(_ipython: object) -> None:
    """Answer `%load_ext clary`: the notebook's AWS becomes this machine."""
    _notebook().load_extension()


def unload_ipython_extension(_ipython: object) -> None:
    """Answer `%unload_ext clary`: AWS is given back."""
    _notebook().unload_extension()


def _notebook() -> Any:
    # By name: an import statement would tie every module of this package to the SDK.
    return import_module("clary.sdk.notebook")
