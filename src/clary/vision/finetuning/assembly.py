"""Builds what a plan needs: its loaders or features, and the way to train."""

from __future__ import annotations

from typing import Any

from clary.formats.preprocessing import Preprocessing
from clary.vision.caching import CacheStore
from clary.vision.datasets import ArraySource, PictureDataset, Split
from clary.vision.device_loading import DeviceBatchLoader
from clary.vision.finetuning.context import RunContext
from clary.vision.finetuning.head_features import FeatureShelf
from clary.vision.finetuning.heads import HeadTraining
from clary.vision.finetuning.pictures import PictureTraining
from clary.vision.finetuning.plan import Plan
from clary.vision.finetuning.starting import StartingModel
from clary.vision.finetuning.training import Training
from clary.vision.geometry import EvaluationTransform
from clary.vision.loaders import BatchLoader
from clary.vision.picture_cache import PictureCache
from clary.vision.transforms import TrainingTransform

# Crops of a third of the area still have about the input's own resolution at this size.
TRAINING_CACHE_SCALE = 1.25


def build_training(
    model: StartingModel, plan: Plan, dataset: PictureDataset, context: RunContext
) -> Training:
    """The way to train that the plan chooses, with the loaders or features that it needs.

    Raises:
        DataError: a picture cannot be read.
        Interrupted: a stop was asked for while features were computed.
    """
    if plan.uses_features:
        shelf = FeatureShelf(context.settings)
        context.resources.callback(shelf.close)
        return HeadTraining(model, dataset, plan, context, shelf=shelf)
    loaders = _loaders(plan, dataset, model.preprocessing, context)
    return PictureTraining(model, loaders, plan, context)


def _loaders(
    plan: Plan,
    dataset: PictureDataset,
    preprocessing: Preprocessing,
    context: RunContext,
) -> tuple[BatchLoader, BatchLoader]:
    options = plan.options
    processes = context.processes
    store = CacheStore.of(context.settings)

    def cached(split: Split, side: int) -> PictureCache | None:
        # A frozen backbone shall see the very pictures that its features would be computed from.
        if isinstance(split.source, ArraySource) or options.epochs == 1 or plan.frozen:
            return None
        cache = PictureCache(
            store,
            split.source,
            side,
            interpolation=preprocessing.interpolation,
            message=context.observers.message,
        )
        return context.resources.enter_context(cache)

    words: dict[str, Any] = {
        "batch_size": options.batch_size,
        "seed": options.seed,
        "shuffle": True,
        "workers": plan.workers,
        "rank": processes.rank,
        "world_size": processes.world_size,
        "weights": plan.picture_weights,
        "told": context.observers.batch_loaded if context.observers else None,
    }
    device = context.hardware.device
    on_gpu = device.type == "cuda"
    if on_gpu and options.augmentation == "standard":
        train: BatchLoader = DeviceBatchLoader(dataset.train, preprocessing, device, **words)
    else:
        side = round(TRAINING_CACHE_SCALE * preprocessing.resize_size)
        train = BatchLoader(
            dataset.train,
            TrainingTransform(preprocessing, options.augmentation),
            picture_cache=cached(dataset.train, side),
            pin_memory=on_gpu,
            **words,
        )
    valid_split = dataset.splits["valid"]
    valid = BatchLoader(
        valid_split,
        EvaluationTransform(preprocessing),
        batch_size=max(options.batch_size, 32),
        seed=options.seed,
        shuffle=False,
        workers=plan.workers,
        rank=processes.rank,
        world_size=processes.world_size,
        pin_memory=on_gpu,
        picture_cache=cached(valid_split, preprocessing.resize_size),
        told=words["told"],
    )
    return train, valid
