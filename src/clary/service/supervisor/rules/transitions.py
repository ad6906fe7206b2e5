"""How the evaluation of a rule moves from status to status: one table, in AWS's words.

What the table does not hold does not happen: `advance` gives None, and the evaluation stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from clary.formats.rule_request import RuleKind
from clary.service.state.rule_evaluations import RuleEvaluation
from clary.service.state.training_jobs import TrainingJob

DETAILS_LIMIT = 1024

TABLE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "InProgress": frozenset({"NoIssuesFound", "IssuesFound", "Error", "Stopping", "Stopped"}),
        "Stopping": frozenset({"Error", "Stopped"}),
        "NoIssuesFound": frozenset(),
        "IssuesFound": frozenset(),
        "Error": frozenset(),
        "Stopped": frozenset(),
    }
)

_NOTHING_TRAINED = (
    "the training job has {status} before its {judged} could be judged: see why in its "
    "FailureReason or status message"
)
_JUDGED: Mapping[RuleKind, str] = {"debug": "tensors", "profiler": "profile"}
_TURNED_OFF = "stopped by UpdateTrainingJob, which has turned the profiler off"


def advance(
    evaluation: RuleEvaluation, status: str, at_ms: int, details: str = ""
) -> RuleEvaluation | None:
    """The evaluation after it has reached a status; None where it does not.

    Args:
        evaluation: before.
        status: where it comes to; the one it has where only its details are new.
        at_ms: when.
        details: what it says; what it said before where this is empty.
    """
    details = (details or evaluation.details)[:DETAILS_LIMIT]
    if status == evaluation.status:
        if not evaluation.open or details == evaluation.details:
            return None
    elif status not in TABLE[evaluation.status]:
        return None
    changed = replace(evaluation, status=status, details=details, modified_ms=at_ms)
    return changed if changed.open else replace(changed, ended_ms=at_ms)


def began(evaluation: RuleEvaluation, at_ms: int) -> RuleEvaluation | None:
    """The evaluation whose rule judges since `at_ms`; None where it did before."""
    if evaluation.started_ms is not None or not evaluation.open:
        return None
    return replace(evaluation, started_ms=at_ms, modified_ms=at_ms)


def stopped(evaluation: RuleEvaluation, at_ms: int) -> RuleEvaluation | None:
    """The evaluation after somebody has asked for its end; None where that changes nothing."""
    if evaluation.started_ms is None:
        return advance(evaluation, "Stopped", at_ms, "stopped before the training began")
    return advance(evaluation, "Stopping", at_ms)


def turned_off(evaluation: RuleEvaluation, at_ms: int) -> RuleEvaluation | None:
    """An evaluation of a job that is profiled no more; None where that changes nothing."""
    if evaluation.kind != "profiler":
        return None
    status = "Stopped" if evaluation.started_ms is None else "Stopping"
    return advance(evaluation, status, at_ms, evaluation.details or _TURNED_OFF)


def closed(evaluation: RuleEvaluation, job: TrainingJob) -> RuleEvaluation | None:
    """An evaluation that its training job has left behind when it ended."""
    status = job.status.lower()
    details = _NOTHING_TRAINED.format(status=status, judged=_JUDGED[evaluation.kind])
    return advance(evaluation, "Stopped", job.modified_ms, evaluation.details or details)
