"""Finds or fetches the pretrained weights of a timm network, and never waits long for a network.

Looked at in this order: the model hub's cache; torch's hub cache, under the file name of timm's
release or `<model>.<tag>.safetensors` put there by hand; the hub itself; last, what torchvision
left in torch's hub cache for the network of the same name.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clary.errors import ModelError
from clary.formats.preprocessing import Preprocessing
from clary.vision.models.architectures import configuration
from clary.vision.models.torchvision_names import (
    is_same_network,
    published_preprocessing,
    same_make,
)

CONNECT_SECONDS = 5.0
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class FoundWeights:
    """A file of pretrained weights; `preprocessing` is given when it is another than timm's."""

    path: Path
    source: str
    notes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None


def find_pretrained(name: str, image_size: int) -> FoundWeights:
    """A local file with the pretrained weights of a known network, fetched if need be.

    Args:
        name: a known timm name; its tag, if any, picks the weights.
        image_size: side of the input in pixels.

    Raises:
        ModelError: there are none, or they can neither be found nor fetched.
    """
    about = configuration(name)
    repository, url = about.get("hf_hub_id") or "", about.get("url") or ""
    if not repository and not url:
        raise ModelError(
            f"nobody published pretrained weights of {name}: give a file with --weights FILE, or "
            "--weights none to learn from nothing"
        )
    by_hand = checkpoints_folder() / f"{about['architecture']}.{about.get('tag') or 'weights'}"
    by_hand = by_hand.with_name(by_hand.name + ".safetensors")
    for path in (*_hub_cached(repository, about), by_hand, _released(url)):
        if path is not None and path.is_file():
            return FoundWeights(path, repository or url)
    fetched, reason = _fetch(repository, url, about)
    if fetched is not None:
        return FoundWeights(fetched, repository or url)
    fallback = _left_by_torchvision(name, image_size)
    if fallback is not None:
        return fallback
    raise ModelError(
        f"the pretrained weights of {name} ({repository or url}) are not on this machine and could "
        f"not be fetched ({reason}): give a file with --weights FILE, learn from nothing with "
        f"--weights none, or put the file at {by_hand}"
    )


def checkpoints_folder() -> Path:
    """Where torch keeps downloaded weights: `$TORCH_HOME/hub/checkpoints`."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def _hub_cached(repository: str, about: dict[str, Any]) -> list[Path]:
    if not repository:
        return []
    from huggingface_hub import try_to_load_from_cache

    repo, _, revision = repository.partition("@")
    found = [
        try_to_load_from_cache(repo, name, revision=revision or None) for name in _files(about)
    ]
    return [Path(path) for path in found if isinstance(path, str)]


def _files(about: dict[str, Any]) -> tuple[str, ...]:
    named = about.get("hf_hub_filename")
    return (named,) if named else _HUB_FILES


def _released(url: str) -> Path | None:
    return checkpoints_folder() / url.rpartition("/")[2] if url else None


def _fetch(repository: str, url: str, about: dict[str, Any]) -> tuple[Path | None, str]:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}:
        return None, "HF_HUB_OFFLINE is set"
    if repository:
        return _fetch_from_hub(repository, _files(about))
    target = _released(url)
    assert target is not None
    try:
        with urllib.request.urlopen(url, timeout=CONNECT_SECONDS):
            pass
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(target), progress=False)
    except (OSError, urllib.error.URLError, RuntimeError) as error:
        return None, _first_line(error)
    return target, ""


def _fetch_from_hub(repository: str, names: tuple[str, ...]) -> tuple[Path | None, str]:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    repo, _, revision = repository.partition("@")
    reason = "it holds no file of weights"
    for name in names:
        try:
            # Without this look, hf_hub_download tries six times over 23 s when there is no network.
            get_hf_file_metadata(
                hf_hub_url(repo, name, revision=revision or None), timeout=CONNECT_SECONDS
            )
            return Path(hf_hub_download(repo, name, revision=revision or None)), ""
        except EntryNotFoundError:
            continue
        except (OSError, HfHubHTTPError, ValueError) as error:
            return None, _first_line(error)
        except Exception as error:
            # The client library's errors of connection have no root of their own that is public.
            if type(error).__module__.partition(".")[0] not in {"httpx", "httpx2", "httpcore"}:
                raise
            return None, _first_line(error)
    return None, reason


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _left_by_torchvision(name: str, image_size: int) -> FoundWeights | None:
    from torchvision import models

    for other in same_make(name):
        if not is_same_network(name, other):
            continue
        published = models.get_model_weights(other)
        # The newest first: it is what `DEFAULT` names.
        for weights in (published.DEFAULT, *published):
            path = checkpoints_folder() / weights.url.rpartition("/")[2]
            if path.is_file():
                note = (
                    f"timm's weights of {name} could not be fetched: torchvision's "
                    f"{path.name} from {path.parent} is used"
                )
                preprocessing = published_preprocessing(weights, image_size)
                return FoundWeights(path, f"torchvision {path.name}", (note,), preprocessing)
    return None
