"""The models of one worker: one that stays, or several of which the least recently used goes."""

from __future__ import annotations

import gc
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from clary.endpoint.handlers.loaded_model import LoadedModel
from clary.endpoint.handlers.requests import Answer, Request


class CacheSettings(Protocol):
    """What a cache wants to know of `clary.formats.replica.ReplicaSettings`."""

    @property
    def model(self) -> str:
        """The model folder, or the folder of model folders."""

    @property
    def multi_model(self) -> bool:
        """Whether there are several models."""

    @property
    def models_kept(self) -> int:
        """How many of several models stay loaded."""


class ModelCache:
    """Models by their folders. A folder that was replaced is another model."""

    def __init__(
        self, settings: CacheSettings, environment: Mapping[str, str], *, gpu: int | None
    ) -> None:
        self._kept = settings.models_kept if settings.multi_model else 1
        self._only = None if settings.multi_model else settings.model
        self._environment = environment
        self._gpu = gpu
        self._models: OrderedDict[str, tuple[tuple[int, int] | None, LoadedModel]] = OrderedDict()
        self._entered: LoadedModel | None = None

    @property
    def loaded(self) -> list[str]:
        """The folders of the models that are kept, the least recently used first."""
        return list(self._models)

    def prepare(self) -> str | None:
        """Load the model where there is only one, and say what keeps it from that, if anything."""
        return None if self._only is None else self._model(self._only).prepare()

    def answer(self, request: Request) -> Answer:
        """Answer by the model that a request asks for; its folder must be there."""
        return self._model(request.model).answer(request)

    def _model(self, folder: str) -> LoadedModel:
        """The model of a folder, its code where `import` finds it."""
        identity = _identity(folder) if self._only is None else None
        kept = self._models.get(folder)
        if kept is None or kept[0] != identity:
            kept = identity, LoadedModel(folder, self._environment, self._gpu)
            self._make_room(folder)
            self._models[folder] = kept
        self._models.move_to_end(folder)
        model = kept[1]
        if self._entered is not model:
            if self._entered is not None:
                self._entered.leave()
            model.enter()
            self._entered = model
        return model

    def _make_room(self, folder: str) -> None:
        """Let go of what the folder held before, and of as many others as one more is too many."""
        gone = [folder] if folder in self._models else []
        others = [each for each in self._models if each != folder]
        gone += others[: max(0, len(others) - self._kept + 1)]
        for each in gone:
            _, model = self._models.pop(each)
            if self._entered is model:
                model.leave()
                self._entered = None
        if gone:
            _give_back_memory()


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        found = Path(folder).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _give_back_memory() -> None:
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
