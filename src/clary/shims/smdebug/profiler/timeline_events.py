"""Clary's timeline, as the events that SageMaker's profiler makes of a training.

A timeline holds how long each phase of a step took, in the order in which they follow each other;
the events are laid one behind the other from the beginning of their step. Several short steps that
a timeline keeps as one record are one event, whose `steps` says how many they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clary.formats.timeline.entries import Facts, Loading, Mode, Span
from clary.formats.timeline.reader import Worker

from .profiler_constants import (
    PT_DATALOADER_INITIALIZE,
    PT_DATALOADER_ITER,
    PT_DATALOADER_WORKER,
)
from .trace_event_file_parser import TraceEvent

KIND = "pythontimeline"
_FORWARD = "Forward"
# By `clary.formats.timeline.PHASES`; forward and backward as SageMaker calls them.
_PHASES = (PT_DATALOADER_ITER, "HostToDevice", _FORWARD, "Backward(post-forward)", "Optimizer")
_SPANS = {
    "initialization": "Initialization",
    "evaluation": "Evaluation",
    "checkpoint": "Checkpoint",
    "loader_start": PT_DATALOADER_INITIALIZE,
    "features": "Features",
    "operators": "DetailedProfiling",
    "other": "Other",
}
_LEAST_US = 1


def events_of(worker: Worker) -> list[TraceEvent]:
    """All that one process of a training did, in the order of its beginning."""
    made = _Events(worker)
    return sorted(made.all(), key=lambda one: one.start_time)


class _Events:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._facts = worker.facts
        self._pid = 0 if self._facts is None else self._facts.pid
        self._node = f"{_node_of(worker.name, self._facts)}-{self._pid}"

    def all(self) -> Iterator[TraceEvent]:
        yield from self._steps()
        yield from self._loads()
        for span in self._worker.spans:
            yield self._span(span)

    def _event(
        self, phase: str, name: str, start_us: int, seconds: float, **args: Any
    ) -> TraceEvent:
        return TraceEvent(
            start_us,
            name,
            round(seconds * 1e6),
            event_args={"pid": self._pid, **args},
            node_id=self._node,
            file_type=KIND,
            event_phase=phase,
            pid=self._pid,
            tid=int(args.get("worker_id", -1)) + 1,
        )

    def _steps(self) -> Iterator[TraceEvent]:
        getting = f"{_iterator(self._loading)}::GetNext"
        for record in self._worker.steps():
            mode, _, step, start_us, _, seconds, _, phases_s, _ = record.item()
            merged = int(record["merged"])
            args = {"step_num": str(step), **({"steps": merged} if merged > 1 else {})}
            name = f"Step:ModeKeys.{Mode(mode).name}"
            yield self._event(name, name, start_us, seconds, **args)
            at_us = start_us
            for phase, phase_s in zip(_PHASES, phases_s, strict=True):
                # NaN is not measured.
                if phase_s * 1e6 >= _LEAST_US:
                    name = getting if phase == PT_DATALOADER_ITER else phase
                    yield self._event(phase, name, at_us, phase_s, **args)
                    at_us += round(phase_s * 1e6)

    def _loads(self) -> Iterator[TraceEvent]:
        """A batch as a worker made it, and how long each worker was at it, all in all."""
        alive: dict[int, tuple[int, int]] = {}
        fields = ["start_us", "seconds", "pictures", "worker"]
        for start_us, seconds, pictures, worker in self._worker.loads()[fields].tolist():
            yield self._event(
                "DataLoaderBatch",
                "DataLoaderBatch",
                start_us,
                seconds,
                worker_id=worker,
                pictures=pictures,
            )
            first, last = alive.get(worker, (start_us, start_us))
            alive[worker] = (first, max(last, start_us + round(seconds * 1e6)))
        for worker, (first, last) in alive.items():
            if worker >= 0:
                yield self._event(
                    PT_DATALOADER_WORKER,
                    PT_DATALOADER_WORKER,
                    first,
                    (last - first) / 1e6,
                    worker_id=worker,
                )

    def _span(self, span: Span) -> TraceEvent:
        phase = _SPANS.get(span.kind, span.kind)
        seconds = (span.end_us - span.start_us) / 1e6
        if span.kind != "loader_start":
            name = f"{phase} {span.label}" if span.label else phase
            return self._event(phase, name, span.start_us, seconds)
        loading = self._loading or Loading()
        return self._event(
            phase,
            f"{_iterator(loading)}.__init__",
            span.start_us,
            seconds,
            num_workers=loading.workers or 0,
            pin_memory=bool(loading.pin_memory),
        )

    @property
    def _loading(self) -> Loading | None:
        return None if self._facts is None else self._facts.train_loading


def _iterator(loading: Loading | None) -> str:
    """What torch calls the iterator of a loader."""
    alone = loading is None or not loading.workers
    return "_SingleProcessDataLoaderIter" if alone else "_MultiProcessingDataLoaderIter"


def _node_of(worker: str, facts: Facts | None) -> str:
    """The host: of its facts, or of a folder such as `algo-2-worker_0`."""
    if facts is not None and facts.node:
        return facts.node
    return worker.rpartition("-worker")[0] or "algo-1"
