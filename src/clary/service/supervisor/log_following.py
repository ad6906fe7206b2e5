"""Reads the logs of a running job: registers its streams, finds its metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from clary import clock
from clary.formats.job_directory import TUNING_OBJECTIVE
from clary.formats.log_file import read_events
from clary.service.executors.executor import HostLog
from clary.service.state.log_streams import LogStream
from clary.service.state.metric_data import Datum, Metric
from clary.service.state.state import State
from clary.service.state.training_jobs import FinalMetric, TrainingJob
from clary.service.state.trials import Emission
from clary.service.supervisor.metric_definitions import Match, MetricDefinitions

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
METRIC_NAMESPACE = "/aws/sagemaker/TrainingJobs"

_LINES_AT_ONCE = 1_000


class LogFollower:
    """Follows the logs of one job from where they were read last, across restarts.

    Owned by the supervisor; one thread at a time.
    """

    def __init__(self, state: State, job: TrainingJob) -> None:
        self._state = state
        self._name = job.name
        self._definitions = MetricDefinitions(job.request)
        self._objective = _objective(job)
        self._offsets = dict(job.log_offsets)
        self._known: set[str] = set()

    def follow(self, logs: Sequence[HostLog], enough: Callable[[], bool]) -> bool:
        """Read what came since, until all is read or it is `enough`; whether all is read.

        Raises:
            StorageError: the database cannot be written.
        """
        while self._follow_once(logs):
            if enough():
                return False
        return True

    def _follow_once(self, logs: Sequence[HostLog]) -> bool:
        found: list[tuple[str, Match]] = []
        offsets = dict(self._offsets)
        more = False
        for log in logs:
            events = read_events(log.path, offsets.get(log.stream, 0), _LINES_AT_ONCE)
            if events:
                found.extend((log.stream, one) for one in self._definitions.matches(events))
                offsets[log.stream] = events[-1].end
                more = more or len(events) == _LINES_AT_ONCE
        new = [log for log in logs if log.stream not in self._known]
        if offsets != self._offsets or new:
            found.sort(key=lambda pair: pair[1].timestamp_ms)
            matches = [match for _, match in found]
            self._state.record_logs(
                self._name,
                lambda job: _with_metrics(job, matches, offsets),
                [_datum(self._name, match) for match in matches if math.isfinite(match.value)],
                [_stream(log) for log in new],
                [
                    Emission(stream, match.value)
                    for stream, match in found
                    if match.name == self._objective
                ],
            )
            self._offsets = offsets
            self._known.update(log.stream for log in new)
        return more


def _objective(job: TrainingJob) -> str | None:
    """The metric that a trial is judged by; None for a job that is no trial."""
    if job.trial is None:
        return None
    name: str = json.loads(job.request["HyperParameters"][TUNING_OBJECTIVE])
    return name


def _with_metrics(
    job: TrainingJob, matches: Iterable[Match], offsets: dict[str, int]
) -> TrainingJob:
    final = dict(job.final_metrics)
    for match in matches:
        if math.isfinite(match.value):
            final[match.name] = FinalMetric(match.value, match.timestamp_ms)
        elif match.name in final:
            final[match.name] = replace(final[match.name], diverged=True)
    return replace(job, final_metrics=final, log_offsets=offsets)


def _datum(job: str, match: Match) -> Datum:
    metric = Metric(METRIC_NAMESPACE, match.name, {"TrainingJobName": job})
    return Datum.of(metric, match.timestamp_ms, match.value)


def _stream(log: HostLog) -> LogStream:
    return LogStream(LOG_GROUP, log.stream, log.path, clock.now_ms())
