"""The hook for PyTorch.

import smdebug.pytorch as smd

hook = smd.Hook.create_from_json_file()
hook.register_module(model)
hook.set_mode(smd.modes.TRAIN)
"""

from __future__ import annotations

import sys

from .. import CollectionKeys, ReductionConfig, SaveConfig, SaveConfigMode, modes
from ..trials import create_trial
from . import singleton
from .collection import Collection, CollectionConfig
from .hook import Hook
from .singleton import del_hook, get_hook, set_hook

__all__ = [
    "Collection",
    "CollectionConfig",
    "CollectionKeys",
    "Hook",
    "ReductionConfig",
    "SaveConfig",
    "SaveConfigMode",
    "create_trial",
    "del_hook",
    "get_hook",
    "modes",
    "set_hook",
]

# AWS's name of the module.
singleton_utils = singleton
sys.modules[f"{__name__}.singleton_utils"] = singleton
