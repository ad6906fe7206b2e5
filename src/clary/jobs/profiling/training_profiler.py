"""An observer that records where the time of a training of `clary.vision` goes."""

from __future__ import annotations

import math
from dataclasses import replace
from time import perf_counter_ns

import torch

from clary.formats.timeline import Loading, Mode, SpanKind
from clary.profiler.recording.process import device_name, started_ns
from clary.profiler.recording.step_recorder import StepRecorder
from clary.vision.observer import BatchLoaded, EpochEnded, Observer, Phase, RunStarted, StepEnded

IN_TRAINING_PROCESS = -1
_SPANS: dict[Phase, SpanKind] = {"evaluation": "evaluation", "checkpoint": "checkpoint"}


class TrainingProfiler(Observer):
    """Owns the recorder, and closes it when the run is over.

    A step is one of the optimizer's: it begins with waiting for its batches. What loading takes
    is that of the threads which decode, by the processor time of each.
    """

    def __init__(self, recorder: StepRecorder) -> None:
        self._recorder = recorder
        self._began_ns = started_ns() or perf_counter_ns()
        self._initialized = False
        self._judging = False
        self._spans: list[tuple[Phase, int]] = []
        self._features: _Features | None = None
        self._last_ns = perf_counter_ns()
        self._loading: Loading | None = None
        self._decoded = (0.0, 0)

    def run_started(self, run: RunStarted) -> None:
        """Say what is trained."""
        self._close_features()
        self._loading = run.train_loading
        parameter = next(run.model.parameters(), None)
        self._recorder.facts(
            device="" if parameter is None else device_name(parameter.device),
            threads=torch.get_num_threads(),
            precision=run.precision,
            batch_size=run.batch_size,
            epochs=run.epochs,
            steps_per_epoch=run.steps_per_epoch,
            train_loading=run.train_loading,
            valid_loading=run.valid_loading,
        )

    def progress(self, task: str, done: int, total: int) -> None:
        """Features are computed, which is no step but takes its time."""
        now = perf_counter_ns()
        if self._features is None or self._features.task != task:
            self._close_features()
            self._features = _Features(task, now, done)
        self._features.last_ns, self._features.last_done = now, done

    def phase_started(self, phase: Phase) -> None:
        """A phase of a step, or something beside the steps, begins."""
        if phase in _SPANS:
            self._recorder.end_step()
            self._judging = self._judging or phase == "evaluation"
            self._spans.append((phase, perf_counter_ns()))
            return
        if phase == "data":
            self._close_features()
            self._end_initialization(perf_counter_ns())
            self._recorder.begin_step(Mode.EVAL if self._judging else Mode.TRAIN)
        self._recorder.phase_started(phase)

    def phase_ended(self, phase: Phase) -> None:
        """It is over."""
        if phase not in _SPANS:
            self._recorder.phase_ended(phase)
            return
        begun, began_ns = self._spans.pop()
        self._recorder.end_step()
        self._judging = self._judging and begun != "evaluation"
        self._recorder.add_span(_SPANS[begun], began_ns, perf_counter_ns())

    def step_ended(self, step: StepEnded) -> None:
        """Count its pictures; one of an evaluation ends with it."""
        if step.mode == "valid" and not self._recorder.step_is_open:
            return  # of features, which are judged at once
        self._recorder.add_pictures(step.batch_size)
        if step.mode == "valid":
            self._recorder.end_step()

    def batch_loaded(self, load: BatchLoaded) -> None:
        """A batch was decoded, by threads of this process."""
        self._recorder.add_load(
            load.start_ns, load.seconds, load.pictures, IN_TRAINING_PROCESS, load.cpu_s
        )
        if self._loading is None or self._judging:
            return
        seconds, pictures = self._decoded
        self._decoded = seconds + load.cpu_s, pictures + load.pictures
        before = pictures and math.isclose(
            seconds / pictures, self._decoded[0] / self._decoded[1], rel_tol=0.02
        )
        if not before:
            decode_s = self._decoded[0] / max(1, self._decoded[1])
            self._recorder.facts(train_loading=replace(self._loading, decode_s=decode_s))

    def epoch_ended(self, epoch: EpochEnded) -> None:
        """What follows the last epoch is no step."""
        self._recorder.end_step()

    def run_ended(self, error: BaseException | None) -> None:
        """Write the rest."""
        self._close_features()
        self._recorder.close()

    def _end_initialization(self, now: int) -> None:
        if not self._initialized:
            self._initialized = True
            self._recorder.add_span("initialization", self._began_ns, now)

    def _close_features(self) -> None:
        features, self._features = self._features, None
        if features is not None:
            began_ns = max(self._last_ns, features.began_ns())
            self._last_ns = features.last_ns
            self._end_initialization(began_ns)
            self._recorder.add_span("features", began_ns, features.last_ns, features.task)


class _Features:
    """What is heard of computing features: how many pictures are done, after each batch."""

    def __init__(self, task: str, now: int, done: int) -> None:
        self.task = task
        self.first_ns = self.last_ns = now
        self.first_done = self.last_done = done

    def began_ns(self) -> int:
        """When the first batch was begun, if it took as long for a picture as those after it."""
        pictures = self.last_done - self.first_done
        if pictures <= 0:
            return 0
        each_ns = (self.last_ns - self.first_ns) / pictures
        return round(self.first_ns - self.first_done * each_ns)
