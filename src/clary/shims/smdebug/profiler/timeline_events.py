"""Clary's timeline, as the events that SageMaker's profiler makes of a training.

Several short steps that a timeline keeps as one record are one event, whose `steps` says how many
they are. Batches, as workers made them, are events of the phase `DataLoaderBatch`.
"""

from __future__ import annotations

from collections.abc import Iterator

from clary.formats.timeline.reader import Worker
from clary.profiler.framework_events import framework_events

from .trace_event_file_parser import TraceEvent

KIND = "pythontimeline"
BATCH = "DataLoaderBatch"


def events_of(worker: Worker, number: int = 0) -> list[TraceEvent]:
    """All that one process of a training did, in the order of its beginning.

    Args:
        worker: as it stands.
        number: which one of the job's.

    Raises:
        FormatError: a trace of operators is damaged.
    """
    return sorted(_events(worker, number), key=lambda one: one.start_time)


def _events(worker: Worker, number: int) -> Iterator[TraceEvent]:
    pid = number if worker.facts is None else worker.facts.pid
    node = f"{_node_of(worker)}-{pid}"
    for end_us, start_us, phase, name, facts in framework_events(worker, number):
        yield TraceEvent(
            start_us,
            name,
            end_us - start_us,
            event_args=facts,
            node_id=node,
            file_type=KIND,
            event_phase=phase,
            pid=pid,
            tid=facts.get("tid") or facts.get("worker_id", -1) + 1,
        )
    fields = ["start_us", "seconds", "pictures", "worker"]
    for start_us, seconds, pictures, loader in worker.loads()[fields].tolist():
        yield TraceEvent(
            start_us,
            BATCH,
            round(seconds * 1e6),
            event_args={"pid": pid, "worker_id": loader, "pictures": pictures},
            node_id=node,
            file_type=KIND,
            event_phase=BATCH,
            pid=pid,
            tid=loader + 1,
        )


def _node_of(worker: Worker) -> str:
    """The host: of its facts, or of a folder such as `algo-2-worker_0`."""
    if worker.facts is not None and worker.facts.node:
        return worker.facts.node
    return worker.name.rpartition("-worker")[0] or "algo-1"
