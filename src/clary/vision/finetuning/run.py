"""`finetune`: from pictures and options to a trained, evaluated and saved classifier."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from clary.errors import UsageError
from clary.formats.job_directory import JobDirectory
from clary.formats.training_options import TrainingOptions
from clary.settings import Settings
from clary.vision.datasets import InMemory, PictureDataset, open_dataset
from clary.vision.finetuning.assembly import build_training
from clary.vision.finetuning.backbones import Backbones
from clary.vision.finetuning.context import RunContext
from clary.vision.finetuning.outcome import FinetuneResult, FinishedRun, conclude
from clary.vision.finetuning.preparing import prepare_run
from clary.vision.finetuning.processes import Processes
from clary.vision.finetuning.stopping import StopRequest
from clary.vision.hardware import choose_hardware
from clary.vision.observer import Observer, Observers


def finetune(
    data: str | Path | InMemory | PictureDataset,
    *,
    output: str | Path,
    options: TrainingOptions | None = None,
    observers: Sequence[Observer] = (),
    settings: Settings | None = None,
    stop: StopRequest | None = None,
    **words: Any,
) -> FinetuneResult:
    """Fine-tune a classifier on labelled pictures.

    A run whose `output` holds a checkpoint goes on from it, exactly; a finished one is not
    trained again. Under `torchrun` all processes call this alike and the first one writes.

    Args:
        data: a data set, a place that `open_dataset` understands, or a known name.
        output: the run's directory, made when missing; see `clary.formats.job_directory`.
        options: everything that decides the training; in its place the same by keyword.
        observers: watch the run; see `clary.vision.observer`.
        settings: where caches live; read from the environment when not given.
        stop: ends the run between two steps when it is set, from a signal or another thread.
        words: fields of `TrainingOptions`, for example `model="resnet50", epochs=5`.

    Returns:
        The classifier with the best epoch's weights, its history and its evaluation.

    Raises:
        UsageError: options out of bounds, or that do not fit each other or the checkpoint.
        DataError: the pictures cannot be used.
        ModelError: the model is unknown, or its weights do not fit.
        TrainingError: the loss is not finite, memory does not suffice, or a stop was asked for.
        StorageError: `output` cannot be written.
    """
    if options is not None and words:
        raise UsageError(
            f"options were given whole and by keyword ({', '.join(words)}): give them one way"
        )
    options = options or TrainingOptions.parse(words)
    processes = Processes.from_environment()
    hardware = choose_hardware(options.precision, processes.local_rank)
    with ExitStack() as resources:
        context = RunContext(
            hardware=hardware,
            processes=processes,
            observers=Observers(observers if processes.main else ()),
            settings=settings or Settings.from_environment(),
            stop=stop or StopRequest(),
            resources=resources,
        )
        resources.enter_context(processes.connected(hardware.device))
        resources.enter_context(context.stop.on_signals())
        try:
            result = _run(data, JobDirectory(Path(output)), options, context)
        except BaseException as error:
            context.observers.run_ended(error)
            raise
        context.observers.run_ended(None)
        return result


def _run(
    data: str | Path | InMemory | PictureDataset,
    directory: JobDirectory,
    options: TrainingOptions,
    context: RunContext,
) -> FinetuneResult:
    """The whole, in the order in which things happen."""
    started = time.monotonic()
    dataset = data if isinstance(data, PictureDataset) else _open(data, options, context.settings)
    torch.manual_seed(options.seed)
    backbones = Backbones(context.settings)
    run = prepare_run(dataset, directory, options, context, backbones)
    training = build_training(run.model, run.plan, dataset, context)
    loop = run.begin(training)
    history = loop.run()
    finished = FinishedRun(run.model, training, run.plan, dataset, history, context)
    return conclude(finished, directory, started)


def _open(
    data: str | Path | InMemory, options: TrainingOptions, settings: Settings
) -> PictureDataset:
    return open_dataset(
        data,
        settings=settings,
        seed=options.seed,
        valid_fraction=options.valid_fraction,
        test_fraction=options.test_fraction,
        group_by=options.group_by,
    )
