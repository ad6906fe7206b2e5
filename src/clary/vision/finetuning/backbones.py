"""Backbones that several runs use at a time: each run has a head of its own over the same network.

Owned by one thread. A backbone is shared only between runs that leave it frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from clary.errors import UsageError
from clary.formats.model_archive import WEIGHTS_FILE, locate_model
from clary.formats.training_options import TrainingOptions
from clary.settings import Settings
from clary.vision.finetuning.starting import StartingModel
from clary.vision.models import EarlierModel, Foundation, lay_foundation

# Several only where the seed or the backbone itself is tuned.
KEPT = 4

Built = TypeVar("Built", Foundation, EarlierModel)
_Key = tuple[object, ...]


class Backbones:
    """Builds what runs start from, and keeps their backbones for the runs that follow."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._foundations: dict[_Key, Foundation] = {}
        self._earlier: dict[_Key, EarlierModel] = {}

    def starting_model(self, options: TrainingOptions, classes: tuple[str, ...]) -> StartingModel:
        """The classifier that the options name, new or continued from an earlier model.

        Raises:
            UsageError: `model` names another one than `weight_path` holds.
            ModelError: the model is unknown, or its weights do not fit.
            FormatError: the earlier model is damaged.
        """
        if options.weight_path is not None:
            return self._continued(options, options.weight_path, classes)
        weights, trusted, size = options.weights, options.trust_pickle, options.image_size
        foundation = _kept(
            self._foundations,
            (options.model, weights, _stamp(Path(weights)), trusted, size, options.seed),
            lambda: self._shared(
                lay_foundation(
                    options.model,
                    weights=weights,
                    image_size=size,
                    trust_pickle=trusted,
                    seed=options.seed,
                )
            ),
        )
        return StartingModel(*foundation.classifier(classes, options.hidden, options.dropout))

    def _continued(
        self, options: TrainingOptions, weight_path: str, classes: tuple[str, ...]
    ) -> StartingModel:
        # What was not asked for stays as it was in the earlier model.
        given = options.model_fields_set
        location = locate_model(weight_path, self._settings.jobs_dir)
        earlier = _kept(
            self._earlier,
            (location, _stamp(location), options.image_size),
            lambda: EarlierModel.load(location, options.image_size),
        )
        built = earlier.continued(
            classes,
            hidden=options.hidden if "hidden" in given else None,
            dropout=options.dropout if "dropout" in given else None,
            seed=options.seed,
        )
        name = built[0].architecture.name
        if "model" in given and options.model != name:
            raise UsageError(
                f"--model is {options.model} but --weight-path {weight_path} holds a "
                f"{name}: leave --model out"
            )
        return StartingModel(*built)

    def _shared(self, laid: Foundation) -> Foundation:
        """The seed decides what heads are drawn from; the backbone is the same one."""
        for known in self._foundations.values():
            if known.report.fingerprint == laid.report.fingerprint:
                return replace(laid, backbone=known.backbone)
        return laid


def _kept(shelf: dict[_Key, Built], key: _Key, build: Callable[[], Built]) -> Built:
    found = shelf.pop(key, None) or build()
    shelf[key] = found  # the last one used is the last one to go
    while len(shelf) > KEPT:
        del shelf[next(iter(shelf))]
    return found


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file of weights, or a model folder, is replaced; None for a name."""
    path = path.expanduser()
    try:
        about = (path / WEIGHTS_FILE if path.is_dir() else path).stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size
