"""Features for runs that have a frozen backbone in common: computed once, kept while runs follow.

Owned by one thread, and closed by whoever made it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from clary.settings import Settings
from clary.vision.caching import cache_key
from clary.vision.datasets import Split
from clary.vision.features import Features, extract_features
from clary.vision.finetuning.plan import Plan
from clary.vision.finetuning.starting import StartingModel

# Train, valid and test of a few seeds or numbers of views. They are mapped files.
KEPT = 12

Progress = Callable[[int, int], None]
Message = Callable[[str], None]


@dataclass(frozen=True)
class _Kept:
    features: Features
    messages: tuple[str, ...]


class FeatureShelf:
    """Features by what they depend on; those used least recently are let go of."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def features(
        self,
        model: StartingModel,
        split: Split,
        plan: Plan,
        *,
        views: int,
        progress: Progress,
        message: Message,
    ) -> Features:
        """The features of a split, in its order; see `extract_features`.

        Args:
            model: whose backbone; it is where it shall compute.
            split: pictures and labels.
            plan: says how they are augmented, and in which precision.
            views: how many; the first is the evaluation transform.
            progress: called while features are computed; may raise to stop.
            message: told what a person should know, also where another run was told before.

        Raises:
            DataError: a picture cannot be read.
            StorageError: the cache folder cannot be made.
        """
        options = plan.options
        key = cache_key(
            {
                "split": split.fingerprint(),
                "weights": model.weights.fingerprint,
                "preprocessing": model.preprocessing.model_dump(),
                "precision": options.precision,
                "views": views,
                "drawn": (options.augmentation, options.seed) if views > 1 else None,
            }
        )
        kept = self._kept.get(key)
        if kept is None:
            said: list[str] = []

            def note(text: str) -> None:
                said.append(text)
                message(text)

            features = extract_features(
                model.classifier,
                split,
                preprocessing=model.preprocessing,
                settings=self._settings,
                weights_fingerprint=model.weights.fingerprint,
                views=views,
                augmentation=options.augmentation,
                seed=options.seed,
                precision=options.precision,
                workers=plan.workers,
                progress=progress,
                message=note,
            )
            kept = self._kept[key] = _Kept(features, tuple(said))
        else:
            for text in kept.messages:
                message(text)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)[1].features.close()
        return kept.features

    def close(self) -> None:
        """Let the cache have all files."""
        for kept in self._kept.values():
            kept.features.close()
        self._kept.clear()
