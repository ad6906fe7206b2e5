"""Checkpoints without pickle: a tree of tensors and plain values in one safetensors file.

The tensors stand in the file under `t0`, `t1`, …; the tree around them is JSON in the file's
header, with `{"$tensor": "t0"}` where a tensor was. Written atomically: a kill leaves the old
checkpoint or the new one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from clary.errors import FormatError
from clary.vision.tensor_files import save_tensors

VERSION = 1
_TENSOR = "$tensor"
_INT_KEYS = "$int-keys"
_TUPLE = "$tuple"


def save_tree(path: Path, tree: Any) -> None:
    """Save a tree of dicts (text or int keys), lists, tuples, tensors and JSON values.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    tensors: dict[str, torch.Tensor] = {}
    text = json.dumps(_encode(tree, tensors))
    save_tensors(path, tensors, {"version": str(VERSION), "tree": text})


def load_tree(path: Path) -> Any:
    """Load what `save_tree` saved, tensors on the CPU.

    Raises:
        FormatError: the file is missing, damaged, or of a later version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if int(metadata.get("version", VERSION + 1)) > VERSION:
                raise FormatError(f"{path} is of a later version: install a newer Clary")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            tree = metadata["tree"]
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise FormatError(
            f"the checkpoint {path} cannot be read ({error}): remove it to start anew"
        ) from error
    return _decode(json.loads(tree), tensors)


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        name = f"t{len(tensors)}"
        # A copy of its own: safetensors refuses tensors that share memory.
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {_TENSOR: name}
    if isinstance(value, dict):
        encoded = {str(key): _encode(item, tensors) for key, item in value.items()}
        if value and all(isinstance(key, int) for key in value):
            return {_INT_KEYS: encoded}
        return encoded
    if isinstance(value, tuple):
        return {_TUPLE: [_encode(item, tensors) for item in value]}
    if isinstance(value, list):
        return [_encode(item, tensors) for item in value]
    return value


def _decode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _TUPLE in value:
        return tuple(_decode(item, tensors) for item in value[_TUPLE])
    if _INT_KEYS in value:
        return {int(key): _decode(item, tensors) for key, item in value[_INT_KEYS].items()}
    return {key: _decode(item, tensors) for key, item in value.items()}
