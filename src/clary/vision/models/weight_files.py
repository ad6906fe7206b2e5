"""Reads a file of weights as it comes: safetensors, a state dict, a checkpoint around one."""

from __future__ import annotations

import hashlib
import pickle
import tarfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from clary.errors import ModelError

StateDict = dict[str, Tensor]

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")
_CHUNK_BYTES = 1 << 20


def read_weights(path: Path, *, trust_pickle: bool = False) -> StateDict:
    """The tensors of a file by name, wrappers and common prefixes taken off.

    Args:
        path: `.safetensors`, or anything that `torch.load` reads.
        trust_pickle: load pickled objects too, which runs whatever code the file holds.

    Raises:
        ModelError: the file is missing, damaged, holds no weights, or needs `trust_pickle`.
    """
    if not path.is_file():
        raise ModelError(f"the weights file {path} does not exist: check --weights")
    content = _read(path, trust_pickle)
    if isinstance(content, nn.Module):
        content = content.state_dict()
    state = _state_dict(content)
    if not state:
        raise ModelError(
            f"{path} holds no weights by name (it holds a {type(content).__name__}): "
            "save the model's state_dict()"
        )
    return strip_prefixes(state)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def strip_prefixes(state: Mapping[str, Tensor]) -> StateDict:
    """Take off what wrappers put before the names: `module.`, `model.`, `backbone.`, …

    A prefix goes when nine names in ten bear it, so that a head beside a backbone keeps its name.
    """
    names = dict(state)
    while True:
        for prefix in _PREFIXES:
            bearing = sum(name.startswith(prefix) for name in names)
            if bearing and bearing >= 0.9 * len(names):
                stripped = {name.removeprefix(prefix): value for name, value in names.items()}
                if len(stripped) == len(names):
                    names = stripped
                    break
        else:
            return names


def _read(path: Path, trust_pickle: bool) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{path} is not a whole safetensors file ({error}): fetch it again"
            ) from error
    if path.name.endswith((".tar.gz", ".tgz")) and tarfile.is_tarfile(path):
        raise ModelError(
            f"{path} is a model archive, not a file of weights: give it as --weight-path"
        )
    try:
        with warnings.catch_warnings():
            # Of pickles by other programs: whether they can be read is said by what follows.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            return torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except pickle.UnpicklingError as error:
        if not trust_pickle and "nsupported" in str(error) and _begins_as_pickle(path):
            raise ModelError(
                f"{path} holds pickled Python objects, which can run any code when loaded: save "
                "its state_dict() instead, or say --trust-pickle if you trust where it comes from"
            ) from error
        raise _unreadable(path, error) from error
    except MemoryError:
        raise
    except Exception as error:
        # Given other bytes than it wrote, torch's reader raises nearly anything.
        raise _unreadable(path, error) from error


def _begins_as_pickle(path: Path) -> bool:
    """Whether this may be a pickle, or the archive around one, as torch writes them."""
    with path.open("rb") as file:
        return file.read(2).startswith((b"\x80", b"PK"))


def _unreadable(path: Path, error: Exception) -> ModelError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return ModelError(
        f"{path} cannot be read as weights ({reason}): give a .safetensors file or a state dict "
        "saved by torch.save"
    )


def _state_dict(content: Any) -> StateDict:
    while isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPERS if _is_wrapped(content, key)), None)
        if inner is None:
            break
        content = inner.state_dict() if isinstance(inner, nn.Module) else inner
    if not isinstance(content, Mapping):
        return {}
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _is_wrapped(content: Mapping[Any, Any], key: str) -> bool:
    return isinstance(content.get(key), (Mapping, nn.Module))
