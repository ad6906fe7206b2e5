"""Which pretrained weights are on this machine already, as far as names tell: the model hub's cache
and torch's, which hold what was fetched or put there by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_TIMM = "models--timm--"
_WEIGHTS = {".pth", ".pt", ".bin", ".safetensors"}


def cached_weights(environment: Mapping[str, str]) -> list[str]:
    """The names of the weights in both caches, in order, such as `resnet18.a1_in1k` of the hub's
    and `resnet18-f37072fd` of torch's.

    Args:
        environment: says where the caches lie.
    """
    cache = Path(environment.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    home = Path(environment.get("HF_HOME") or cache / "huggingface").expanduser()
    hub = Path(environment.get("HF_HUB_CACHE") or home / "hub").expanduser()
    torch = Path(environment.get("TORCH_HOME") or cache / "torch").expanduser()
    names = [
        folder.name.removeprefix(_TIMM)
        for folder in _entries(hub)
        if folder.name.startswith(_TIMM)
        and any(path.suffix in _WEIGHTS for path in folder.glob("snapshots/*/*"))
    ]
    names += [
        path.stem
        for path in _entries(torch / "hub" / "checkpoints")
        if path.suffix in _WEIGHTS and path.is_file()
    ]
    return sorted(names)


def are_of(cached: str, network: str) -> bool:
    """Whether weights are a network's, by their names.

    Args:
        cached: such as `resnet18.a1_in1k` or `resnet18-f37072fd`.
        network: with a tag, which must be that of the weights, or without one.
    """
    if "." in network:
        return cached == network
    return cached == network or cached.startswith((f"{network}.", f"{network}-"))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
