"""timm's networks by name: which exist, how they are built, what input they were trained on."""

from __future__ import annotations

import dataclasses
import difflib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from pydantic import ValidationError
from torch import nn

from clary.errors import ModelError
from clary.formats.model_archive import Stem
from clary.formats.preprocessing import Interpolation, Preprocessing

SMALL_IMAGE = 64


def require_known(name: str) -> None:
    """Check that timm has an architecture of this name (a tag such as `.tv_in1k` may follow).

    Raises:
        ModelError: it has none; the nearest names are given.
    """
    import timm

    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        known = timm.list_models()
        near = difflib.get_close_matches(base.lower(), known, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "names look like resnet50"
        raise ModelError(f"there is no model {name!r} among timm's {len(known):,}: {hint}")
    if tag and name not in (tagged := timm.list_pretrained(f"{base}.*")):
        raise ModelError(
            f"there is no tag {tag!r} of {base}: choose {', '.join(tagged) or base} "
            "or leave the tag away"
        )


def configuration(name: str) -> dict[str, Any]:
    """timm's description of the pretrained weights of a known name."""
    from timm.models import get_pretrained_cfg

    found = get_pretrained_cfg(name)
    return dataclasses.asdict(found) if found is not None else {}


def preprocessing_of(name: str, image_size: int | None = None) -> Preprocessing:
    """The input that a network was trained on, at its own size or another.

    The resize before the centre crop is `image_size / crop_pct`. At 64 px and under nothing is
    cropped: such pictures have no border to lose.

    Args:
        name: a known timm name.
        image_size: side of the input in pixels; None is the network's own.

    Raises:
        ModelError: the size is out of bounds.
    """
    found = configuration(name)
    size = image_size or int(found.get("input_size", (3, 224, 224))[-1])
    crop = 1.0 if size <= SMALL_IMAGE else float(found.get("crop_pct") or 0.875)
    interpolation = "bilinear" if found.get("interpolation") == "bilinear" else "bicubic"
    defaults = Preprocessing()
    try:
        return Preprocessing(
            image_size=size,
            resize_size=round(size / crop),
            interpolation=cast("Interpolation", interpolation),
            mean=found.get("mean", defaults.mean),
            std=found.get("std", defaults.std),
        )
    except ValidationError as error:
        raise ModelError(
            f"image_size {size} cannot be used with {name}: choose one from 16 to 2048"
        ) from error


def build_backbone(name: str, image_size: int, stem: Stem = "standard") -> nn.Module:
    """A network with random weights that maps (N, 3, S, S) to pooled features (N, D).

    Raises:
        ModelError: the network cannot take pictures of this size, or has no small stem.
    """
    import timm

    with quiet_timm():
        try:
            backbone = timm.create_model(name, num_classes=0, **size_arguments(name, image_size))
        except (RuntimeError, ValueError, AssertionError, TypeError) as error:
            raise ModelError(f"{name} cannot be built for {image_size} px: {error}") from error
    if stem == "small":
        _use_small_stem(name, backbone)
    if image_size != configuration(name).get("input_size", (0,))[-1]:
        _try_size(name, backbone, image_size)
    return backbone


def size_arguments(name: str, image_size: int) -> dict[str, Any]:
    """What timm needs to know to build a network with a fixed input size."""
    return {"img_size": image_size} if configuration(name).get("fixed_input_size") else {}


def stem_for(name: str, image_size: int) -> Stem:
    """The stem that a network which learns from nothing should have at an input size.

    A ResNet sees 32 px as a single cell after its fifth halving. The field trains it at such
    sizes with a 3×3 stem of stride 1 and no pooling (He et al. 2016, section 4.2); a stem that is
    3×3 already only loses its stride. Other families keep their stem.
    """
    from timm.models.resnet import ResNet

    if image_size > SMALL_IMAGE:
        return "standard"
    with torch.device("meta"), quiet_timm():
        import timm

        network = timm.create_model(name, num_classes=0, **size_arguments(name, image_size))
    return "small" if type(network) is ResNet else "standard"


@contextmanager
def quiet_timm() -> Iterator[None]:
    """Keep timm's warnings off the terminal: what matters is raised or noted."""
    logger = logging.getLogger("timm")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _use_small_stem(name: str, network: Any) -> None:
    stem = getattr(network, "conv1", None)
    if not isinstance(stem, nn.Conv2d | nn.Sequential) or not hasattr(network, "maxpool"):
        raise ModelError(f"{name} has no stem that can be made small: use a ResNet")
    if isinstance(stem, nn.Conv2d):
        network.conv1 = nn.Conv2d(stem.in_channels, stem.out_channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    else:
        cast(nn.Conv2d, stem[0]).stride = (1, 1)
    network.maxpool = nn.Identity()


def _try_size(name: str, network: nn.Module, image_size: int) -> None:
    network.eval()
    try:
        with torch.inference_mode():
            network(torch.zeros(1, 3, image_size, image_size))
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{name} cannot take pictures of {image_size} px ({reason}): choose another image size"
        ) from error
    finally:
        network.train()
