"""Runs that train heads on frozen backbones, many at a time, in one process and on one thread.

Runs that share pictures, backbone and batches form a group, whose heads take their steps in
batched products (`head_group`). Groups take turns, an epoch each. What a run says, writes and
gives is what `finetune` says, writes and gives for it alone; a run that fails, stops or is out of
epochs leaves the others as they are.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from clary.errors import Interrupted, UsageError
from clary.formats.job_directory import JobDirectory
from clary.formats.training_options import TrainingOptions
from clary.settings import Settings
from clary.vision.datasets import PictureDataset, Split
from clary.vision.features import Features
from clary.vision.finetuning.assembly import build_training
from clary.vision.finetuning.backbones import Backbones
from clary.vision.finetuning.context import RunContext
from clary.vision.finetuning.epochs import EpochLoop
from clary.vision.finetuning.head_features import FeatureShelf
from clary.vision.finetuning.head_group import HeadGroup
from clary.vision.finetuning.heads import HeadTraining
from clary.vision.finetuning.outcome import FinetuneResult, FinishedRun, conclude
from clary.vision.finetuning.preparing import PreparedRun, prepare_run
from clary.vision.finetuning.processes import Processes
from clary.vision.finetuning.stopping import StopRequest
from clary.vision.finetuning.training import Training
from clary.vision.hardware import choose_hardware
from clary.vision.observer import Observer, Observers


@dataclass(frozen=True, eq=False)
class Entrant:
    """A run that is to be trained with others: what `finetune` takes for one."""

    dataset: PictureDataset
    output: Path
    options: TrainingOptions
    observers: Sequence[Observer] = ()
    stop: StopRequest = field(default_factory=StopRequest)


# Told how a run ended: with a result, or with what `finetune` would have raised.
Ended = Callable[[Entrant, "FinetuneResult | Exception"], None]


class TrainingTogether:
    """Trains the runs that enter. Owned by one thread; close it, or use it in `with`.

    Args:
        settings: where caches live.
        ended: told, on this thread, as soon as a run has ended.
        attend: called now and then, also within long work; it may ask runs to stop.
    """

    def __init__(
        self, settings: Settings, ended: Ended, attend: Callable[[], None] | None = None
    ) -> None:
        self._settings = settings
        self._ended = ended
        self._attend = attend or _nothing
        self._backbones = Backbones(settings)
        self._shelf = FeatureShelf(settings)
        self._groups: deque[_Group] = deque()

    def __enter__(self) -> TrainingTogether:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the caches have their files."""
        self._shelf.close()

    @property
    def busy(self) -> bool:
        """Whether there is a run that has not ended."""
        return bool(self._groups)

    def enter(self, entrants: Sequence[Entrant]) -> None:
        """Let runs begin: those that fit each other train as one group, from now on."""
        groups: dict[object, list[_Run]] = {}
        for entrant in entrants:
            run = self._prepared(entrant)
            if run is not None:
                groups.setdefault(_what_is_shared(run.prepared), []).append(run)
        waiting = [run for runs in groups.values() for run in runs]
        for runs in groups.values():
            group = self._begin([run for run in runs if run in waiting], waiting)
            if group.runs:
                self._groups.append(group)

    def advance(self) -> None:
        """Train one epoch of the group whose turn it is; runs end in it."""
        if not self._groups:
            return
        group = self._groups[0]
        self._groups.rotate(-1)
        # Who is to stop stands where the group stands only until the first one trains on.
        for run in sorted(group.runs, key=lambda run: not run.entrant.stop.requested):
            if run in group.runs:
                self._train_epoch(run, group)
            self._attend()
        for run in [run for run in group.runs if run.loop.finished]:
            self._conclude(run, group)
            self._attend()
        if not group.runs:
            self._groups.remove(group)

    def _prepared(self, entrant: Entrant) -> _Run | None:
        resources = ExitStack()
        try:
            context = RunContext(
                hardware=choose_hardware(entrant.options.precision),
                processes=Processes(),
                observers=Observers((*entrant.observers, _Attentive(self._attend))),
                settings=self._settings,
                stop=entrant.stop,
                resources=resources,
            )
        except UsageError as error:
            self._ended(entrant, error)
            return None
        run = _Run(entrant, context)
        try:
            run.prepared = prepare_run(
                entrant.dataset, run.directory, entrant.options, context, self._backbones
            )
        except Exception as error:  # noqa: BLE001 - it ends this run alone
            self._end(run, error)
            return None
        return run

    def _begin(self, runs: list[_Run], waiting: list[_Run]) -> _Group:
        """Compute what some of those that wait have in common, and let them begin."""
        group = _Group(runs)
        if not runs:
            return group
        first = runs[0].prepared
        try:
            if first.plan.uses_features:
                train = self._features(first.dataset.train, "training", group, waiting)
                valid = self._features(first.dataset.splits["valid"], "validation", group, waiting)
                group.heads = HeadGroup(
                    train,
                    valid,
                    first.plan,
                    first.context.hardware,
                    between_steps=lambda: self._between_steps(group),
                )
        except Exception as error:  # noqa: BLE001 - it ends all runs of this group
            for run in list(group.runs):
                waiting.remove(run)
                self._end(run, error, group)
        for run in list(group.runs):
            waiting.remove(run)
            try:
                run.training = self._training(run, group)
                run.loop = run.prepared.begin(run.training)
            except Exception as error:  # noqa: BLE001 - it ends this run alone
                self._end(run, error, group)
        return group

    def _training(self, run: _Run, group: _Group) -> Training:
        prepared = run.prepared
        if group.heads is None:
            return build_training(prepared.model, prepared.plan, prepared.dataset, run.context)
        return HeadTraining(
            prepared.model,
            prepared.dataset,
            prepared.plan,
            run.context,
            shelf=self._shelf,
            group=group.heads,
        )

    def _features(self, split: Split, what: str, group: _Group, waiting: list[_Run]) -> Features:
        """Features for a group: all who wait hear of the progress, and any of them may stop."""

        def progress(done: int, total: int) -> None:
            stopped = Interrupted(
                f"stopped after the features of {done} of {total} {what} pictures; those "
                "computed so far are kept"
            )
            for run in list(waiting):
                run.context.observers.progress(f"features of the {what} pictures", done, total)
                if run.entrant.stop.requested:
                    waiting.remove(run)
                    self._end(run, stopped, group)
            if not group.runs:
                raise stopped

        first = group.runs[0].prepared
        views = first.plan.options.views if what == "training" else 1
        return self._shelf.features(
            first.model, split, first.plan, views=views, progress=progress, message=_unheard
        )

    def _between_steps(self, group: _Group) -> None:
        """Let runs that were asked to stop do so where the group stands."""
        self._attend()
        for run in list(group.runs):
            if run.entrant.stop.requested and run is not group.training:
                # It finds the results of the steps before this one, and pauses here.
                self._train_epoch(run, group)

    def _train_epoch(self, run: _Run, group: _Group) -> None:
        outer, group.training = group.training, group.training or run
        try:
            run.loop.run_epoch()
        except Exception as error:  # noqa: BLE001 - it ends this run alone
            self._end(run, error, group)
        finally:
            group.training = outer

    def _conclude(self, run: _Run, group: _Group) -> None:
        prepared = run.prepared
        try:
            history = run.loop.finish()
            group.leave(run)
            finished = FinishedRun(
                prepared.model,
                run.loop.training,
                prepared.plan,
                prepared.dataset,
                history,
                run.context,
            )
            result = conclude(finished, run.directory, run.started)
        except Exception as error:  # noqa: BLE001 - it ends this run alone
            self._end(run, error, group)
        else:
            self._end(run, result, group)

    def _end(
        self, run: _Run, result: FinetuneResult | Exception, group: _Group | None = None
    ) -> None:
        if group is not None:
            group.leave(run)
        run.context.resources.close()
        error = result if isinstance(result, Exception) else None
        run.context.observers.run_ended(error)
        self._ended(run.entrant, result)


class _Run:
    """A run from its entrance to its end."""

    prepared: PreparedRun
    loop: EpochLoop

    def __init__(self, entrant: Entrant, context: RunContext) -> None:
        self.entrant = entrant
        self.context = context
        self.training: Training | None = None
        self.started = time.monotonic()
        self.directory = JobDirectory(entrant.output)


class _Group:
    """Runs that take their steps together; `heads` is None where one trains a whole network.

    `training` is the run whose epoch makes the group take steps right now.
    """

    def __init__(self, runs: list[_Run]) -> None:
        self.runs = runs
        self.heads: HeadGroup | None = None
        self.training: _Run | None = None

    def leave(self, run: _Run) -> None:
        """Take a run out; it may have left before."""
        if run not in self.runs:
            return
        self.runs.remove(run)
        if self.heads is not None and isinstance(run.training, HeadTraining):
            self.heads.leave(run.training.member)


class _Attentive(Observer):
    """Attends while one run alone does something long."""

    def __init__(self, attend: Callable[[], None]) -> None:
        self._attend = attend

    def progress(self, task: str, done: int, total: int) -> None:
        """Pictures are on their way through the backbone."""
        self._attend()


def _what_is_shared(run: PreparedRun) -> object:
    """Equal for runs that can take their steps together."""
    options = run.plan.options
    if run.checkpoint is not None or not run.plan.uses_features:
        return object()  # equal to nothing else
    drawn = run.plan.picture_weights
    return (
        run.dataset.classes,
        run.identity.data,
        run.identity.held_out,
        run.dataset.splits["valid"].fingerprint(),
        run.identity.weights,
        run.model.preprocessing.model_dump_json(),
        run.context.hardware.device,
        options.precision,
        (options.views, options.augmentation if options.views > 1 else None),
        options.seed,
        options.batch_size * options.accumulate,
        run.model.classifier.architecture.hidden,
        None if drawn is None else drawn.tobytes(),
    )


def _unheard(_: str) -> None:
    """What is said about kept features is said to each run when it takes them."""


def _nothing() -> None:
    """Nobody wants to be asked."""
