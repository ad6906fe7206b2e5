"""Puts weights from elsewhere into a timm backbone, whatever their names, or says why not.

Three ways, in this order: the names fit; timm's own converter for the architecture makes them
fit; the file is torchvision's and its tensors, taken in order, fit. The last is believed only
after both networks gave the same logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from clary.errors import ModelError
from clary.formats.preprocessing import Preprocessing
from clary.vision.models.architectures import configuration, quiet_timm, size_arguments
from clary.vision.models.torchvision_names import load_as_torchvision
from clary.vision.models.weight_files import StateDict

_HEADS = {"head", "heads", "fc", "classifier", "head_dist", "last_linear"}
_AUXILIARY = {"AuxLogits", "aux", "aux1", "aux2"}


@dataclass(frozen=True)
class Fitted:
    """How the weights were fitted; `preprocessing` is given when it is another than timm's."""

    notes: tuple[str, ...]
    preprocessing: Preprocessing | None = None


def fit_weights(
    name: str, backbone: nn.Module, state: StateDict, image_size: int, source: str
) -> Fitted:
    """Load a state dict into a backbone that has no classifier.

    Args:
        name: the backbone's timm name.
        backbone: changed in place.
        state: tensors by name, prefixes taken off.
        image_size: the input that the backbone was built for, in pixels.
        source: what a person calls the weights.

    Raises:
        ModelError: nothing makes the weights fit; the first names in the way are given.
    """
    target = backbone.state_dict()
    misfit = _misfit(name, target, state)
    if misfit is None:
        backbone.load_state_dict({key: state[key] for key in target if key in state}, strict=False)
        return Fitted(_dropped(state, target))
    converted = _through_timm(name, state, image_size)
    if converted is not None:
        backbone.load_state_dict(converted)
        return Fitted(("names converted by timm", *_dropped(state, None)))
    mapped = load_as_torchvision(name, backbone, state, image_size)
    if mapped is not None:
        note = (
            f"torchvision's {mapped.name} mapped onto {name} by order and shape; "
            f"logits differ by {mapped.difference:.1e} at most"
        )
        return Fitted((note, *_dropped(state, None)), mapped.preprocessing)
    raise ModelError(f"{source} does not fit {name}: {misfit}")


def _misfit(name: str, target: StateDict, state: StateDict) -> str | None:
    missing = [
        key for key in target if key not in state and not key.endswith("num_batches_tracked")
    ]
    unexpected = [key for key in state if key not in target and not _belongs_to_head(name, key)]
    shaped = [key for key in target if key in state and target[key].shape != state[key].shape]
    if not (missing or unexpected or shaped):
        return None
    parts = [
        _counted("missing", missing),
        _counted("unexpected", unexpected),
        _counted(
            "of another shape",
            [f"{key} {tuple(state[key].shape)} for {tuple(target[key].shape)}" for key in shaped],
        ),
    ]
    return "; ".join(part for part in parts if part) + ": is it another architecture's file?"


def _counted(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = ", …" if len(names) > 3 else ""
    return f"{len(names)} {what} ({', '.join(names[:3])}{more})"


def _classifiers(name: str) -> tuple[str, ...]:
    named = configuration(name).get("classifier") or ()
    return (named,) if isinstance(named, str) else tuple(named)


def _belongs_to_head(name: str, key: str) -> bool:
    first = key.partition(".")[0]
    return first in _HEADS | _AUXILIARY or key.rpartition(".")[0] in _classifiers(name)


def _dropped(state: StateDict, target: StateDict | None) -> tuple[str, ...]:
    left = [key for key in state if target is None or key not in target]
    heads = [key for key in left if key.endswith("weight") and key.partition(".")[0] in _HEADS]
    if not heads:
        return ()
    return (f"the head for {state[heads[-1]].shape[0]:,} classes was left out",)


def _with_head(name: str, state: StateDict, image_size: int) -> tuple[StateDict, int]:
    """The weights with a classifier, made up where there is none: timm's loader wants one."""
    names = _classifiers(name)
    for classifier in names:
        if (weight := state.get(f"{classifier}.weight")) is not None:
            return dict(state), int(weight.shape[0])
    if any(key.partition(".")[0] in _HEADS for key in state):
        # It bears another library's name, which timm's converter may know.
        *_, last = (value for value in state.values() if value.ndim)
        return dict(state), int(last.shape[0])
    import timm

    with quiet_timm():
        network = timm.create_model(name, num_classes=2, **size_arguments(name, image_size))
    made_up = {
        key: value for key, value in network.state_dict().items() if key.rpartition(".")[0] in names
    }
    return {**state, **made_up}, 2


def _through_timm(name: str, state: StateDict, image_size: int) -> StateDict | None:
    import timm

    state, classes = _with_head(name, state, image_size)
    overlay: dict[str, Any] = {
        "state_dict": state,
        "num_classes": classes,
        "label_offset": 0,
        "custom_load": False,
    }
    with quiet_timm():
        try:
            network: Any = timm.create_model(
                name,
                pretrained=True,
                num_classes=classes,
                pretrained_cfg_overlay=overlay,
                **size_arguments(name, image_size),
            )
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError):
            return None  # the converter met names it does not know: not its file
        network.reset_classifier(0)
    converted: StateDict = network.state_dict()
    return converted
