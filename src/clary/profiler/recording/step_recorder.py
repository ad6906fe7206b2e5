"""Records the steps of a training: who they were, when, and where their time went.

Everything that is called here is called by the thread that trains, takes some microseconds, and
raises nothing: a recorder that fails says so once and lets go. Another thread writes
(`clary.profiler.recording.timeline_thread`) and reads what the configuration says; what it says
takes effect where the next step begins, on the thread that trains.
A fork of the process records nothing of its parent's training.
"""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import get_ident
from time import perf_counter_ns
from typing import Any, TypeVar, cast

from clary.errors import ClaryError
from clary.formats.profiler_configuration import ProfilerConfiguration
from clary.formats.timeline import PHASES, Facts, LoadRecord, Mode, Span, SpanKind
from clary.profiler.loads import decode_seconds
from clary.profiler.recording.chosen_steps import ChosenSteps
from clary.profiler.recording.clock import Clock
from clary.profiler.recording.device_times import NO_PHASE, Cuda, Device, DeviceTimes
from clary.profiler.recording.telling import say
from clary.profiler.recording.timeline_thread import TimelineThread
from clary.profiler.steps import MERGED_NS, Step

_PLACES = {name: place for place, name in enumerate(PHASES)}
_recorders: weakref.WeakSet[StepRecorder] = weakref.WeakSet()

_Method = TypeVar("_Method", bound=Callable[..., None])


def _guarded(method: _Method) -> _Method:
    """Nothing once the recorder is off; a failure turns it off."""

    @functools.wraps(method)
    def call(self: StepRecorder, *args: Any, **kwargs: Any) -> None:
        if self._off:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the training goes on unwatched
            self.fail(error)

    return cast("_Method", call)


class StepRecorder:
    """Records one process of a training. The thread that trains uses it.

        recorder = StepRecorder(folder)
        for images, labels in loader:
            recorder.begin_step()
            with recorder.phase("forward"): …
        recorder.close()

    Steps shorter than 20 ms are recorded together, so that a training of short ones is not
    hindered.

    Args:
        folder: the host's folder of the profiler.
        worker: `worker_<rank>`.
        configuration: what is recorded beside times, and when.
        configuration_file: looked at every two seconds; what it says takes the place of
            `configuration`.
        device: the accelerator.
        facts: fields of `Facts` that are known now.
    """

    def __init__(
        self,
        folder: Path,
        worker: str = "worker_0",
        configuration: ProfilerConfiguration | None = None,
        *,
        configuration_file: Path | None = None,
        device: Device | None = None,
        **facts: Any,
    ) -> None:
        self._clock = Clock()
        self._file = configuration_file
        self._file_seen: tuple[int, int, int] | None = None
        self._step: Step | None = None
        self._held: Step | None = None
        self._counts = {Mode.TRAIN: 0, Mode.EVAL: 0}
        self._devices: DeviceTimes[Step] = DeviceTimes(device or Cuda(), self._settled)
        self._open: list[int] = []
        self._since = 0
        self._overhead_ns = 0
        self._has_failed = False
        self._closed = False
        self._gone = False
        """Whether it is to let go where the next step begins."""
        self._configuration = configuration or ProfilerConfiguration()
        self._asked: ProfilerConfiguration | None = None
        self._paused = self._configuration.disabled
        self._off = False
        self._trains = get_ident()
        self._least_ns = 0
        self._facts = replace(
            Facts(worker, os.getpid(), "algo-1", self._clock.since_1970_us(perf_counter_ns())),
            **facts,
        )
        self._thread = TimelineThread(Path(folder), worker, self._current_facts, self._look)
        self._chosen = ChosenSteps(self._thread, self._clock, self._configuration)
        _recorders.add(self)

    @property
    def worker(self) -> str:
        """As what this process is recorded."""
        return self._thread.worker

    @property
    def step_is_open(self) -> bool:
        """Whether a step goes on."""
        return self._step is not None

    @property
    def step_started_ns(self) -> int | None:
        """When the step that goes on began, of `time.perf_counter_ns`; None where none does."""
        return None if self._step is None else self._step.start_ns

    def steps(self, mode: Mode = Mode.TRAIN) -> int:
        """How many steps of a mode are over."""
        return self._counts[mode]

    @_guarded
    def begin_step(self, mode: Mode = Mode.TRAIN, *, at_ns: int | None = None) -> None:
        """A step begins, which is the end of the one before it.

        Args:
            mode: what the model does; `end_step` may know better.
            at_ns: when, of `time.perf_counter_ns`; None is now.
        """
        began = perf_counter_ns()
        now = began if at_ns is None else at_ns
        self._trains = get_ident()
        if self._step is not None:
            self._end(now, self._step, None)
        if self._asked is not None or self._thread.lost:
            self._follow()
        if self._paused or self._off:
            return
        if self._chosen.waiting and self._chosen.step_begins(mode, self._counts[mode]):
            self._least_ns = perf_counter_ns()
        self._overhead_ns += perf_counter_ns() - began
        # To begin or to end a look is no part of a step.
        self._step = Step(mode, max(now, self._least_ns))
        self._open.clear()
        self._devices.begin_step()

    @_guarded
    def end_step(self, mode: Mode | None = None, *, at_ns: int | None = None) -> None:
        """The step is over, and none begins with it."""
        if self._step is not None:
            self._end(perf_counter_ns() if at_ns is None else at_ns, self._step, mode)

    @_guarded
    def cancel_step(self) -> None:
        """What began was no step: it is not recorded."""
        self._step = None
        self._open.clear()

    @_guarded
    def add_pictures(self, count: int) -> None:
        """So many pictures more belong to the current step."""
        if self._step is not None:
            self._step.pictures += count

    @_guarded
    def phase_started(self, phase: str, *, at_ns: int | None = None) -> None:
        """One of `PHASES` begins; one that goes on stands still meanwhile."""
        step = self._step
        if step is None:
            return
        now = perf_counter_ns() if at_ns is None else max(at_ns, step.start_ns)
        place = _PLACES[phase]
        if self._open:
            step.phases_ns[self._open[-1]] += now - self._since
        self._open.append(place)
        self._since = now
        step.measured |= 1 << place
        if place:
            self._devices.mark(place)

    @_guarded
    def phase_ended(self, phase: str | None = None, *, at_ns: int | None = None) -> None:
        """The phase that began last is over."""
        step = self._step
        if step is None or not self._open:
            return
        now = perf_counter_ns() if at_ns is None else at_ns
        place = self._open.pop()
        step.phases_ns[place] += now - self._since
        self._since = now
        if place:
            self._devices.mark(self._open[-1] if self._open and self._open[-1] else NO_PHASE)

    @_guarded
    def add_to_phase(self, phase: str, nanoseconds: int) -> None:
        """So long of the current step, which no phase has counted, was one of `PHASES`."""
        if self._step is not None:
            place = _PLACES[phase]
            self._step.phases_ns[place] += nanoseconds
            self._step.measured |= 1 << place

    @contextmanager
    def phase(self, phase: str) -> Iterator[None]:
        """A phase of the current step, around the block."""
        self.phase_started(phase)
        try:
            yield
        finally:
            self.phase_ended(phase)

    @property
    def in_phase(self) -> bool:
        """Whether a phase goes on."""
        return bool(self._open)

    @_guarded
    def add_span(self, kind: SpanKind, start_ns: int, end_ns: int, label: str = "") -> None:
        """Something took its time, between two moments of `time.perf_counter_ns`."""
        if self._paused:
            return
        clock = self._clock
        start, end = clock.since_1970_us(start_ns), clock.since_1970_us(end_ns)
        self._thread.span(Span(kind, start, end, label))

    @contextmanager
    def span(self, kind: SpanKind, label: str = "") -> Iterator[None]:
        """Something that takes its time beside the steps, around the block."""
        began = perf_counter_ns()
        try:
            yield
        finally:
            self.add_span(kind, began, perf_counter_ns(), label)

    @_guarded
    def add_load(
        self, start_ns: int, seconds: float, pictures: int, worker: int, cpu_s: float
    ) -> None:
        """A batch was loaded by this process; see `LoadRecord`."""
        if self._paused:
            return
        at = self._clock.since_1970_us(start_ns)
        self._thread.load(LoadRecord(at, seconds, pictures, worker, cpu_s))

    @_guarded
    def facts(self, **known: Any) -> None:
        """Fields of `Facts` that are known now."""
        try:
            self._facts = replace(self._facts, **known)
        except TypeError as error:
            self.note(f"a fact is left out: {error}")
        else:
            self._thread.facts_changed()

    def note(self, text: str) -> None:
        """Put a sentence among the failures of the watching."""
        self._thread.fail(text)

    def fail(self, error: Exception) -> None:
        """Let go for good, and say why, once."""
        self.let_go()
        if not self._has_failed:
            self._has_failed = True
            text = f"recording steps has failed: {type(error).__name__}: {error}"
            say(f"{text}; the training goes on unwatched")
            self._thread.fail(text)

    def let_go(self) -> None:
        """Record nothing more. What looks into steps is ended by the thread that trains."""
        if self._off:
            return
        if get_ident() != self._trains:
            self._asked = replace(self._configuration, disabled=True)
            self._gone = True
            return
        self._off = True
        self._step = None
        with suppress(Exception):
            self._chosen.close()

    def close(self) -> None:
        """End the current step, write what waits, and let go; a second time does nothing."""
        if self._closed or os.getpid() != self._facts.pid:
            return
        self._closed = True
        self.end_step()
        self._settle_all()
        self._off = True
        self._step = None
        self._facts = replace(self._facts, ended_us=self._clock.since_1970_us(perf_counter_ns()))
        if not self._thread.close():
            say("the last steps could not be written in time; the training is not affected")

    @_guarded
    def _settle_all(self) -> None:
        self._chosen.close()
        self._devices.close()
        if self._held is not None:
            self._give(self._held)
            self._held = None

    def _end(self, now: int, step: Step, mode: Mode | None) -> None:
        if self._open:
            step.phases_ns[self._open[-1]] += now - self._since
            self._open.clear()
            self._devices.mark(NO_PHASE)
        self._step = None
        step.mode = step.mode if mode is None else mode
        step.number = self._counts[step.mode]
        self._counts[step.mode] += 1
        step.nanoseconds = step.longest_ns = max(0, now - step.start_ns)
        self._devices.step_ended(step)
        self._chosen.last_mode = step.mode
        if self._chosen.running and self._chosen.step_ended(step.mode, step.number):
            self._least_ns = perf_counter_ns()

    def _follow(self) -> None:
        """Between two steps: do what the configuration says now."""
        asked, self._asked = self._asked, None
        if self._gone or self._thread.lost:
            self.let_go()
        elif asked is not None:
            self._chosen.choose(asked)
            self._paused = asked.disabled
            if self._paused:
                self._chosen.close()

    def _settled(self, step: Step, device_s: list[float]) -> None:
        step.device_s = device_s
        held = self._held
        if held is not None:
            if held.joins(step):
                held.add(step)
                step = held
            else:
                self._give(held)
        self._held = step
        if step.nanoseconds >= MERGED_NS:
            self._give(step)
            self._held = None

    def _give(self, step: Step) -> None:
        self._thread.step(step.record(self._clock.since_1970_us(step.start_ns)))

    def _current_facts(self, folder: Path) -> Facts:
        facts = self._facts
        loading = facts.train_loading
        if loading is not None and loading.kind == "DataLoader":
            loading = replace(loading, decode_s=decode_seconds(folder))
        return replace(
            facts,
            worker=folder.name,
            train_loading=loading,
            overhead_s=self._overhead_ns / 1e9,
        )

    def _look(self) -> None:
        """On the thread that writes: follow the clock, and what the configuration says now."""
        self._clock.adjust()
        self._thread.facts_changed()
        if self._file is None:
            return
        try:
            status = self._file.stat()
            seen = (status.st_ino, status.st_size, status.st_mtime_ns)
            if seen == self._file_seen:
                return
            self._file_seen = seen
            configuration = ProfilerConfiguration.read(self._file)
        except (OSError, ClaryError) as error:
            if self._file_seen is not None:
                self._thread.fail(f"the configuration is left as it was: {error}")
            return
        if configuration != self._configuration:
            self._configuration = configuration
            self._asked = configuration


def _forget_parents() -> None:
    for recorder in list(_recorders):
        recorder._off = True
        recorder._closed = True


os.register_at_fork(after_in_child=_forget_parents)
