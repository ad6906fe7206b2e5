"""A run before its first step: what is planned, what it starts from, and where it goes on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from clary.formats.job_directory import JobDirectory
from clary.formats.training_options import TrainingOptions
from clary.vision.datasets import FileSource, PictureDataset
from clary.vision.finetuning.backbones import Backbones
from clary.vision.finetuning.context import RunContext
from clary.vision.finetuning.epochs import EpochLoop, RunIdentity
from clary.vision.finetuning.plan import Plan, make_plan
from clary.vision.finetuning.resuming import accept, find_checkpoint
from clary.vision.finetuning.starting import StartingModel
from clary.vision.finetuning.training import Training
from clary.vision.observer import RunStarted


@dataclass(frozen=True)
class PreparedRun:
    """A run that is planned and built. `checkpoint` is None where it begins with epoch 1."""

    dataset: PictureDataset
    plan: Plan
    model: StartingModel
    identity: RunIdentity
    checkpoint: dict[str, Any] | None
    context: RunContext

    def begin(self, training: Training) -> EpochLoop:
        """The loop over its epochs, where the checkpoint is; observers hear that it starts.

        Raises:
            FormatError: the best weights of the checkpoint cannot be read.
        """
        loop = EpochLoop(training, self.identity, self.context)
        options, observers = self.plan.options, self.context.observers
        if self.checkpoint is not None:
            loop.resume(self.checkpoint)
            if loop.finished:
                more = "a larger --patience" if loop.out_of_patience else "more --epochs"
                observers.message(
                    f"this run is finished ({len(loop.history.epochs)} of {options.epochs} "
                    f"epochs): give {more} to train on"
                )
        train_loading, valid_loading = training.loadings or (None, None)
        observers.run_started(
            RunStarted(
                model=self.model.classifier,
                classes=self.dataset.classes,
                first_epoch=loop.epoch,
                epochs=options.epochs,
                steps_per_epoch=training.steps_per_epoch,
                batch_size=options.batch_size,
                learns_from="features" if self.plan.uses_features else "pictures",
                precision=self.context.hardware.precision,
                train_loading=train_loading,
                valid_loading=valid_loading,
            )
        )
        return loop


def prepare_run(
    dataset: PictureDataset,
    directory: JobDirectory,
    options: TrainingOptions,
    context: RunContext,
    backbones: Backbones,
) -> PreparedRun:
    """Plan a run, build its model and find its checkpoint; what a person should know is said.

    Args:
        dataset: the pictures.
        directory: of the run, made when missing.
        options: as the user gave them.
        context: what surrounds the run.
        backbones: where its backbone comes from.

    Raises:
        UsageError: options that do not fit each other or the checkpoint.
        ModelError: the model is unknown, or its weights do not fit.
        FormatError: the earlier model, or the checkpoint, is damaged.
        StorageError: the directory cannot be written.
    """
    directory.create()
    observers, world_size = context.observers, context.processes.world_size
    plan = make_plan(options, dataset, context.hardware, world_size)
    for note in plan.notes:
        observers.message(note)
    model = backbones.starting_model(plan.options, dataset.classes)
    for note in model.weights.notes:
        observers.message(note)
    identity = RunIdentity(
        options=plan.options.model_copy(update={"model": model.classifier.architecture.name}),
        classes=dataset.classes,
        data=dataset.train.fingerprint(),
        held_out=held_out(dataset),
        weights=model.weights.fingerprint,
        output_data=directory.output_data,
        checkpoints=directory.checkpoints,
    )
    checkpoint = find_checkpoint(directory.checkpoints)
    if checkpoint is not None:
        for note in accept(checkpoint, identity, world_size):
            observers.message(note)
    return PreparedRun(dataset, plan, model, identity, checkpoint, context)


def held_out(dataset: PictureDataset) -> str:
    """A digest of which pictures are held out, wherever the data lies."""
    digest = hashlib.sha256()
    for name in ("valid", "test"):
        split = dataset.splits.get(name)
        if split is not None:
            source = split.source
            label = source.relative_name if isinstance(source, FileSource) else source.name
            digest.update(
                "\n".join(sorted(map(label, range(len(split))))).encode("utf-8", "replace")
            )
    return digest.hexdigest()
