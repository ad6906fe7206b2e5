"""Watches a script that knows nothing of it, through what it asks of torch.

`watch_script` changes a few functions of torch: those that fetch batches, compute gradients, copy
to a device and save; optimizers have hooks of their own. No module gets a hook. What is called
there takes some microseconds and raises nothing; on a failure of its own the watching lets go.

    CLARY_PROFILER_FOLDER   the host's folder of the profiler: arms through `clary.shims`
    CLARY_PROFILER_FILE     SageMaker's profilerconfig.json
    CLARY_PROFILER_NODE     such as algo-1
"""

from __future__ import annotations

import atexit
import os
from collections import deque
from collections.abc import Callable, Mapping
from multiprocessing import parent_process, util
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import torch
from torch.utils.data import get_worker_info

from clary.formats.profiler_configuration import (
    CONFIGURATION_VARIABLE,
    FOLDER_VARIABLE,
    NODE_VARIABLE,
    ProfilerConfiguration,
)
from clary.formats.timeline import Loading, Mode, SpanKind
from clary.profiler.recording.claims import claim_worker
from clary.profiler.recording.process import precision_of, process_facts, started_ns, worker_name
from clary.profiler.recording.step_recorder import StepRecorder
from clary.profiler.recording.telling import say
from clary.profiler.scripts.loader_watch import (
    MAIN_PROCESS,
    LoaderEvents,
    WorkersLoads,
    batches_of,
    loading_of,
    pictures_loaded,
    pictures_of,
    watch_loaders,
)
from clary.profiler.scripts.patching import Patches, leave_methods_uncompiled
from clary.profiler.scripts.script_facts import (
    device_facts,
    initial_configuration,
    label_of,
    loss_of,
)
from clary.profiler.scripts.script_steps import ScriptSteps
from clary.profiler.scripts.torch_watch import Call, TorchEvents, hooked_steps, watch_torch

# Set for processes that a loader of this one starts.
WORKER_VARIABLE = "CLARY_PROFILER_WORKER"
LEAST_SPAN_NS = 1_000_000
EARLY_LOADS = 1000
# Scripts may make a loader for each epoch: what the last ones are like is kept.
KEPT_LOADERS = 64
# From one thread that trains to another; threads that take turns are not told apart.
MOST_TAKEOVERS = 3


_watch: ScriptWatch | None = None


def watch_script(
    folder: Path,
    configuration: ProfilerConfiguration | None = None,
    *,
    configuration_file: Path | None = None,
    node: str = "algo-1",
    importing_ns: tuple[int, int] | None = None,
) -> None:
    """Watch the training of this process from now on; a second time does nothing.

    Args:
        folder: the host's folder of the profiler.
        configuration: what is recorded beside times.
        configuration_file: takes its place, and is looked at every two seconds.
        node: of the host.
        importing_ns: when torch's import began and ended, of `time.perf_counter_ns`.
    """
    global _watch  # noqa: PLW0603 - torch is one for the whole process
    if _watch is None:
        _watch = ScriptWatch(Path(folder), configuration, configuration_file, node, importing_ns)


def stop_watching() -> None:
    """Write the rest and let torch be as it was; nothing where nobody watches."""
    global _watch  # noqa: PLW0603
    if _watch is not None:
        _watch.close()
        _watch = None


def watch_from_environment(
    environment: Mapping[str, str] | None = None,
    importing_ns: tuple[int, int] | None = None,
) -> None:
    """Watch this process where the environment asks for it."""
    given = os.environ if environment is None else environment
    folder = given.get(FOLDER_VARIABLE)
    if folder:
        file = given.get(CONFIGURATION_VARIABLE)
        watch_script(
            Path(folder),
            configuration_file=Path(file) if file else None,
            node=given.get(NODE_VARIABLE) or "algo-1",
            importing_ns=importing_ns,
        )


class ScriptWatch(LoaderEvents, TorchEvents):
    """Tells `ScriptSteps` what torch is asked for; of a process and, from anew, of its forks."""

    def __init__(
        self,
        folder: Path,
        configuration: ProfilerConfiguration | None,
        configuration_file: Path | None,
        node: str,
        importing_ns: tuple[int, int] | None,
    ) -> None:
        self._folder = folder
        self._configuration = configuration or initial_configuration(configuration_file)
        self._file = configuration_file
        self._node = node
        self._importing_ns = importing_ns
        self._armed_ns = perf_counter_ns()
        self._patches = Patches()
        self._off = False
        self._worker = os.environ.get(WORKER_VARIABLE, "")
        self._start()
        self._arm()
        atexit.register(self.close)

    def begin_anew(self) -> None:
        """This process is a fork: its training is none of its parent's."""
        self._importing_ns = None
        self._start()

    def _start(self) -> None:
        """Of this process nothing is known yet."""
        self._process = os.getpid()
        self._loads: WorkersLoads | None = None
        # Of another thread, which loads ahead of the first step.
        self._early: deque[tuple[int, float, int, int, float]] = deque(maxlen=EARLY_LOADS)
        self._loaders: dict[int, tuple[Loading, int | None]] = {}
        self._takeovers = 0
        self._device_wanted = True
        self._precision_wanted = True
        self._steps: ScriptSteps | None = None
        if not self._off:
            self._steps = ScriptSteps(self._make_recorder, self._describe)

    def _arm(self) -> None:
        leave_methods_uncompiled(type(self))
        watch_loaders(self._patches, self._events)
        self._remove_hooks = watch_torch(self._patches, self._events)

    def _events(self) -> ScriptWatch | None:
        """Whom torch tells; nobody once the watching is off."""
        return None if self._off else self

    def close(self) -> None:
        """Write the rest and let torch be as it was; a second time does nothing."""
        if not self._off:
            self._off = True
            self._patches.undo()
            self._remove_hooks()
            atexit.unregister(self.close)
        if self._steps is not None and self._process == os.getpid():
            self._steps.close()
        self._steps = None

    # Of loaders: see `LoaderEvents`.

    def fetch_begins(self, loader: int) -> bool:
        """A batch is waited for; False where not the thread that trains waits."""
        steps = self._steps
        if steps is None or not steps.is_mine():
            return False
        self._tell(steps.fetch_begins, loader, torch.is_grad_enabled())
        return True

    def fetch_ends(self, batch: Any) -> None:
        """The batch is there."""
        steps = self._steps
        if steps is not None and steps.is_mine():
            self._tell(lambda: steps.fetch_ends(pictures_of(batch)))

    def fetch_fails(self) -> None:
        """There is no further batch, or the loader has failed."""
        steps = self._steps
        if steps is not None and steps.is_mine():
            self._tell(steps.fetch_fails)

    def loaded(self, start_ns: int, cpu_s: float, batch: Any, asked_for: Any) -> None:
        """This process has loaded a batch."""
        self._tell(self._loaded, start_ns, cpu_s, batch, asked_for)

    def _loaded(self, start_ns: int, cpu_s: float, batch: Any, asked_for: Any) -> None:
        pictures = pictures_loaded(batch, asked_for)
        if get_worker_info() is not None:
            if self._loads is None:
                self._loads = WorkersLoads(self._folder, self._worker or worker_name())
            self._loads.write(start_ns, cpu_s, pictures)
        elif self._steps is not None:
            seconds = (perf_counter_ns() - start_ns) / 1e9
            self._early.append((start_ns, seconds, pictures, MAIN_PROCESS, cpu_s))
            if self._steps.started:
                self._give_loads(self._steps.recorder)

    def _give_loads(self, recorder: StepRecorder) -> None:
        while self._early:
            recorder.add_load(*self._early.popleft())

    def workers_start(self) -> None:
        """Processes of a loader are to know whose they are."""
        self._learn(self._name_workers)

    def _name_workers(self) -> None:
        name = claim_worker(self._folder, worker_name())
        self._worker = os.environ[WORKER_VARIABLE] = name

    def workers_started(self, start_ns: int, loader: Any) -> None:
        """Processes of a loader have been started."""
        label = f"{loading_of(loader).workers} workers"
        self._tell(self._add_span, "loader_start", start_ns, label)

    def loader_seen(self, number: int, loader: Any) -> None:
        """A loader begins an epoch."""
        if number not in self._loaders:
            self._learn(self._see_loader, number, loader)

    def _see_loader(self, number: int, loader: Any) -> None:
        if len(self._loaders) >= KEPT_LOADERS:
            del self._loaders[next(iter(self._loaders))]
        self._loaders[number] = loading_of(loader), batches_of(loader)

    # Of torch itself: see `TorchEvents`.

    @property
    def awaits_transfer(self) -> bool:  # type: ignore[override]
        """Whether a batch is there, and may be copied to a device."""
        return self._steps is not None and self._steps.awaits_transfer

    def transfer_begins(self) -> bool:
        """The batch is copied to a device."""
        steps = self._training()
        if steps is not None:
            self._tell(steps.transfer_begins)
        return steps is not None

    def transfer_ends(self) -> None:
        """The copy was asked for."""
        if self._steps is not None:
            self._tell(self._steps.transfer_ends)

    def backward_begins(self, call: Call) -> bool:
        """Gradients are computed; False where that is part of another backward pass."""
        steps = self._training(take_over=True)
        if steps is None:
            return False
        if self._precision_wanted and steps.recorder.steps():
            self._precision_wanted = False
            self._learn(self._learn_precision, call)
        self._tell(steps.backward_begins)
        return True

    def backward_ends(self) -> None:
        """Gradients are there."""
        if self._steps is not None:
            self._tell(self._steps.backward_ends)

    def update_begins(self, optimizer: Any, *, closure: bool = False) -> bool:
        """An optimizer is called, or what calls one."""
        steps = self._training()
        if steps is not None:
            number = id(optimizer)
            nested = steps.is_updating(number) and hooked_steps() > 1
            self._tell(lambda: steps.update_begins(number, closure=closure, nested=nested))
        return steps is not None

    def update_ends(self, optimizer: Any) -> None:
        """It is done."""
        steps = self._training()
        if steps is None:
            return
        if self._device_wanted and isinstance(optimizer, torch.optim.Optimizer):
            self._device_wanted = False
            self._learn(self._learn_device, optimizer)
        self._tell(steps.update_ends, id(optimizer))

    def saved(self, start_ns: int, target: Any) -> None:
        """Something was saved."""
        self._tell(lambda: self._add_span("checkpoint", start_ns, label_of(target)))

    def _training(self, *, take_over: bool = False) -> ScriptSteps | None:
        """Whom to tell of what the calling thread does; None where that concerns nobody."""
        steps = self._steps
        if steps is None or self._off or get_worker_info() is not None:
            return None
        if steps.is_mine():
            return steps
        # Within a backward pass another thread computes a part of it again.
        if not take_over or steps.in_backward or self._takeovers >= MOST_TAKEOVERS:
            return None
        self._takeovers += 1
        self._tell(steps.take_over)
        return steps

    def _add_span(self, kind: SpanKind, began_ns: int, label: str) -> None:
        now = perf_counter_ns()
        steps = self._steps
        # What comes before the first step belongs to the initialization.
        if steps is None or not steps.started or now - began_ns < LEAST_SPAN_NS:
            return
        if steps.is_mine():
            steps.recorder.add_span(kind, began_ns, now, label)

    # Of the process.

    def _make_recorder(self) -> StepRecorder:
        recorder = StepRecorder(
            self._folder,
            worker_name(),
            self._configuration,
            configuration_file=self._file,
            node=self._node,
            **process_facts(),
        )
        began = started_ns() or self._armed_ns
        recorder.add_span("initialization", began, perf_counter_ns())
        if self._importing_ns is not None:
            recorder.add_span("other", *self._importing_ns, "importing torch")
        if parent_process() is not None:
            # Such a process ends without what `atexit` has registered.
            util.Finalize(None, self.close, exitpriority=100)
        return recorder

    def _describe(self, mode: Mode, loader: int) -> None:
        loading, batches = self._loaders.get(loader, (None, None))
        if loading is None or self._steps is None:
            return
        recorder = self._steps.recorder
        if mode == Mode.TRAIN:
            recorder.facts(
                train_loading=loading, batch_size=loading.batch_size, steps_per_epoch=batches
            )
        else:
            recorder.facts(valid_loading=loading)

    def _learn_precision(self, call: Call) -> None:
        assert self._steps is not None
        self._steps.recorder.facts(precision=precision_of(loss_of(call)))

    def _learn_device(self, optimizer: Any) -> None:
        assert self._steps is not None
        self._steps.recorder.facts(**device_facts(optimizer))

    def _learn(self, told: Callable[..., None], *args: Any) -> None:
        """Learn a fact; where that fails, only the fact is missing."""
        if self._off:
            return
        try:
            told(*args)
        except Exception as error:  # noqa: BLE001 - other people's objects are asked
            if self._steps is not None and self._steps.started:
                self._steps.recorder.note(f"a fact is missing: {type(error).__name__}: {error}")

    def _tell(self, told: Callable[..., None], *args: Any) -> None:
        """Do something of the watching's own; let go for good when it fails."""
        if self._off:
            return
        try:
            told(*args)
        except Exception as error:  # noqa: BLE001 - the training goes on unwatched
            self._off = True
            text = f"watching the script has failed: {type(error).__name__}: {error}"
            say(f"{text}; the training goes on unwatched")
            if self._steps is not None and self._steps.started:
                self._steps.recorder.note(text)
                self._steps.recorder.let_go()


def _begin_anew() -> None:
    if _watch is not None:
        _watch.begin_anew()


# Once for all: this cannot be undone.
os.register_at_fork(after_in_child=_begin_anew)
