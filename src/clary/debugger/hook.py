"""The hook: watches a PyTorch training and writes what it saw into a tensor log.

    hook = Hook("tensors", collections=[Collection("gradients")], schedule=Schedule(interval=5))
    hook.watch(model)             # losses are found by themselves
    hook.mode = Mode.EVAL         # where `model.eval()` does not say it
    hook.close()                  # or at the end of the process

A hook never raises into the training: what fails is said in one line and kept in the log, and the
hook lets go.
"""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from clary.debugger import registry, scripting
from clary.debugger.background import Background, say
from clary.debugger.collection import LOSSES, Collection, records
from clary.debugger.configuration import HookConfiguration
from clary.debugger.counting import StepCounter
from clary.debugger.guarding import Guarded
from clary.debugger.loss_watch import LossWatch
from clary.debugger.naming import gradient_name
from clary.debugger.pending_scalars import PendingScalars
from clary.debugger.recording import Recording
from clary.debugger.reductions import Reductions
from clary.debugger.schedule import Schedule
from clary.debugger.selection import Selections
from clary.debugger.watched import CAPTURES_WITH_HISTOGRAMS, WatchedModule, bare
from clary.debugger.workers import captures, worker_name
from clary.errors import UsageError
from clary.formats.tensor_log.entries import Mode, Step


class Hook:
    """Watches modules and losses. Owned by the thread that trains.

    Args:
        folder: of the tensor log; made when missing. A log that is there is gone on with.
        configuration: what is captured and when, whole.
        worker: who writes, when several processes train together; None goes by the rank.
        collections: in place of a configuration, what is captured beside losses.
        schedule: in place of a configuration, when collections are captured that do not say it
            themselves; losses are captured at every step.
        find_losses: whether losses are found that `watch_loss` was not told of.

    Raises:
        UsageError: a configuration was given whole and in parts.
    """

    def __init__(
        self,
        folder: str | Path,
        configuration: HookConfiguration | None = None,
        *,
        worker: str | None = None,
        collections: Sequence[Collection] = (),
        schedule: Schedule | None = None,
        find_losses: bool = True,
    ) -> None:
        if configuration is not None and (collections or schedule is not None):
            raise UsageError(
                "a configuration was given with collections or a schedule: give them one way"
            )
        self.folder = Path(folder)
        self.worker = worker
        self._configuration = configuration or _configuration(collections, schedule)
        self._losses = LossWatch(
            self._guarded, lambda: self._recording, lambda: self.mode, find=find_losses
        )
        self._counter = StepCounter(self.folder)
        self._watched: list[WatchedModule] = []
        self._handles: list[Any] = []
        self._selections: Selections | None = None
        self._recording: Recording | None = None
        self._background: Background | None = None
        self._pending_scalars = PendingScalars(self._refuse)
        self._refused: set[str] = set()
        self._gradients_seen: Counter[str] = Counter()
        self._mode: Mode | None = None
        self._within_wrapper = False
        self._process = os.getpid()
        self._off = self._configuration.dry_run
        self._closed = False
        registry.add(self)

    @staticmethod
    def current() -> Hook | None:
        """The hook of this process that was made last, or set."""
        hook = registry.current()
        return hook if isinstance(hook, Hook) else None

    @staticmethod
    def set_current(hook: Hook | None) -> None:
        """Let `current` give this one."""
        registry.set_current(hook)

    @property
    def configuration(self) -> HookConfiguration:
        """What is captured and when."""
        return self._configuration

    def configure(self, configuration: HookConfiguration) -> None:
        """Take another configuration, before the first forward pass.

        Raises:
            UsageError: a forward pass has begun.
        """
        if self._selections is not None:
            raise UsageError("the hook has seen a forward pass: configure it before the first one")
        self._configuration = configuration
        self._off = configuration.dry_run

    @property
    def mode(self) -> Mode:
        """What the model is doing: what was set, or else what `module.training` says."""
        if self._mode is not None:
            return self._mode
        training = not self._watched or self._watched[0].module.training
        return Mode.TRAIN if training else Mode.EVAL

    @mode.setter
    def mode(self, mode: Mode | None) -> None:
        self._mode = mode

    @property
    def steps(self) -> Mapping[Mode, int]:
        """The step that each mode is at; -1 before its first one."""
        return self._counter.steps

    @property
    def step(self) -> Step | None:
        """The forward pass that began last."""
        return self._counter.step

    @property
    def watching(self) -> bool:
        """Whether anything is captured (still)."""
        return not self._off and not self._closed and os.getpid() == self._process

    def watch(self, module: nn.Module, *, counts: bool = True) -> None:
        """Watch a module's parameters, gradients, inputs and outputs.

        A step begins with each forward pass of the module that is watched first; others are
        captured along with it. A module that is watched already stays as it is.

        Args:
            module: any module, also compiled or wrapped for several processes.
            counts: False leaves the steps to `begin_step`, and gradients to `capture_gradients`.
        """
        if not self.watching or any(seen.called is module for seen in self._watched):
            return
        alike = sum(type(seen.module) is type(bare(module)) for seen in self._watched)
        self._watched.append(
            WatchedModule(module, self._guarded, self._note, by_hand=not counts, number=alike)
        )
        if counts and len(self._watched) == 1:
            self._count_calls(self._watched[0])
        scripting.allow(self)
        self._losses.listen()

    def watch_loss(self, module: nn.Module) -> None:
        """Take what a module gives as a loss, also when it is no loss of `torch.nn`."""
        if self.watching:
            self._losses.watch(module)

    def begin_step(self, mode: Mode) -> None:
        """Begin a step by hand, where modules are watched that do not count."""
        self._guarded(self._begin)(mode)

    @property
    def captures_parameters(self) -> bool:
        """Whether parameters or gradients are captured at the step that goes on."""
        return self._recording is not None and self._recording.selection.parameters

    def capture_parameter(self, name: str, value: Tensor, gradient: Tensor | None = None) -> None:
        """Capture a parameter that belongs to no module that is watched.

        Args:
            name: as in `<class>_<path>`.
            value: before its update.
            gradient: of this step.
        """
        self._guarded(self._capture_parameter)(name, value, gradient)

    def capture_gradients(self) -> None:
        """Capture what `.grad` holds, of modules that do not count."""
        self._guarded(self._capture_gradients)()

    def record(
        self,
        name: str,
        value: Tensor | npt.ArrayLike,
        collections: Sequence[str] = (),
        *,
        whole: bool = False,
    ) -> None:
        """Keep a tensor of the script's own, when one of its collections is due.

        Args:
            name: as it is called in the log.
            value: any shape.
            collections: that it belongs to beside those that its name says; `default` when none.
            whole: keep all of it at every step that anything is captured at.
        """
        self._guarded(self._record)(name, value, tuple(collections) or ("default",), whole)

    def record_loss(self, name: str, value: Tensor) -> None:
        """Keep a loss under a name that SageMaker would give it, when losses are due."""
        self._guarded(self._losses.seen)(name, value)

    def record_scalar(self, name: str, value: float | Tensor) -> None:
        """Keep a number as `scalar/<name>`, at whatever step."""
        self._guarded(self._pending_scalars.add)(name, value)

    def flush(self) -> None:
        """Wait until readers see all that was captured before the step that goes on."""
        if self.watching and self._background is not None:
            self._background.flush()

    def close(self) -> None:
        """Write the rest and let go; a second time does nothing."""
        if self._closed or os.getpid() != self._process:
            return
        self._guarded(self._end_step)()
        self._let_go()
        self._closed = True
        registry.remove(self)
        if self._background is not None and not self._background.close():
            say(f"{self.folder} is not written to its end: writing takes too long")

    def _count_calls(self, watched: WatchedModule) -> None:
        begins = self._guarded(self._forward_begins)
        called, module = watched.called, watched.module
        self._handles.append(called.register_forward_pre_hook(begins))
        if module is not called and not watched.compiled:
            # Scripts call it without its wrapper, too, to validate.
            ends = self._guarded(self._forward_ends)
            self._handles.append(module.register_forward_pre_hook(begins))
            self._handles.append(called.register_forward_hook(ends, always_call=True))

    def _forward_begins(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        # Copies of a module, such as averages of its weights, bring its hooks along.
        watched = self._watched[0]
        if module is watched.called:
            self._within_wrapper = module is not watched.module and not watched.compiled
        elif module is not watched.module or self._within_wrapper:
            return
        self._begin(self.mode, None if self._within_wrapper else inputs)

    def _forward_ends(self, module: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> None:
        if module is self._watched[0].called:
            self._within_wrapper = False

    def _begin(self, mode: Mode, inputs: tuple[Any, ...] | None = None) -> None:
        if self._selections is None:
            self._start()
        assert self._selections is not None
        self._end_step()
        step = self._counter.next(mode)
        self._losses.begin_step()
        selection = self._selections.at(mode, step.mode_step)
        if self._off or selection is None:
            return
        if self._background is None or not self._background.has_room():
            return
        self._recording = Recording(step, selection)
        for watched in self._watched:
            # A hook that is put into a module within its own forward pass comes too late for it.
            watched.capture(self._recording, inputs if watched is self._watched[0] else None)

    def _start(self) -> None:
        self._selections = Selections(self._configuration)
        name = worker_name()
        if self.worker is None:
            self.worker = name
            self._off = self._off or not captures(self._configuration.include_workers)
        if not self._off:
            self._counter.go_on()
            self._background = Background(
                self.folder,
                self.worker,
                partial(records, self._configuration.collections),
                lambda: self._counter.steps,
            )

    def _end_step(self) -> None:
        recording, self._recording = self._recording, None
        if recording is None and self._pending_scalars and self._counter.step is not None:
            assert self._selections is not None
            recording = Recording(self._counter.step, self._selections.nothing)
        if recording is None:
            return
        for watched in self._watched:
            watched.let_go()
        self._pending_scalars.give(recording)
        recording.close()
        if self._background is None:
            return
        if self._background.failure is not None:
            self._off = True
            self._let_go()
            return
        self._background.offer(recording)

    def _record(self, name: str, value: Any, among: tuple[str, ...], whole: bool) -> None:
        recording = self._recording
        if recording is None:
            return
        wanted = recording.selection.reductions(name, among)
        if whole:
            wanted = Reductions(raw=True)
        if wanted is None:
            return
        try:
            tensor = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError) as error:
            self._refuse(name, error)
            return
        for collection in among:
            recording.belongs(name, collection)
        if not (tensor.is_floating_point() or tensor.is_complex()):
            wanted = replace(wanted, raw=True)  # statistics of class numbers tell nothing
        recording.tensor(name, tensor, wanted)
        recording.send()

    def _capture_parameter(self, name: str, value: Tensor, gradient: Tensor | None) -> None:
        recording = self._recording
        if recording is None:
            return
        wanted = recording.selection.reductions(name)
        if wanted is not None:
            recording.tensor(name, value, wanted, update=True)
        wanted = recording.selection.reductions(gradient_name(name))
        if wanted is not None and gradient is not None:
            self._gradients_seen[name] += 1
            early = self._gradients_seen[name] <= CAPTURES_WITH_HISTOGRAMS
            recording.tensor(gradient_name(name), gradient, wanted, histogram=early)
        recording.send()

    def _capture_gradients(self) -> None:
        if self._recording is not None:
            for watched in self._watched:
                watched.capture_gradients(self._recording)

    def _refuse(self, name: str, error: Exception) -> None:
        if name not in self._refused:
            self._refused.add(name)
            say(f"{name} is not kept: {error}")

    def _note(self, text: str) -> None:
        say(text)
        if self._background is not None:
            self._background.note(text)

    def _let_go(self) -> None:
        """Take everything out of the training; what was captured is still written."""
        self._off = True
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        for watched in self._watched:
            watched.let_go()
        self._losses.let_go()
        scripting.disallow(self)

    def _guarded(self, work: Callable[..., None]) -> Guarded:
        return Guarded(work, self._failed)

    def _failed(self, error: Exception) -> None:
        self._recording = None
        self._let_go()
        text = "".join(traceback.format_exception(error)).strip()
        say(f"{type(error).__name__}: {error}; the training goes on unwatched")
        if self._background is not None:
            self._background.note(f"the hook has failed and has let go:\n{text}")


def _configuration(
    collections: Sequence[Collection], schedule: Schedule | None
) -> HookConfiguration:
    given = tuple(collections)
    if all(collection.name != LOSSES for collection in given):
        given = (Collection(LOSSES, schedule=Schedule(interval=1)), *given)
    return HookConfiguration(given, schedule=schedule or Schedule())
