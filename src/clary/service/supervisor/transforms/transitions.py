"""How a transform job moves from phase to phase, and what status that is.

    Queued ─▶ Preparing ─▶ Transforming ─▶ Uploading ─▶ Discarding ─▶ Ended

What fails before anything was transformed goes to Discarding at once; so does a job that is
stopped, for SageMaker stores nothing of it. Each function gives None where it does not happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.service.state.transform_jobs import TransformJobRecord
from clary.service.supervisor.transitions import FAILURE_LIMIT

QUEUED = "Queued"
PREPARING = "Preparing"
TRANSFORMING = "Transforming"
UPLOADING = "Uploading"
DISCARDING = "Discarding"
ENDED = "Ended"
# The end is near.
STORING = (UPLOADING, DISCARDING)


def created(
    name: str, arn: str, request: Mapping[str, Any], model: Mapping[str, Any], at_ms: int
) -> TransformJobRecord:
    """A new job, which waits for its turn."""
    return TransformJobRecord(name, arn, request, model, at_ms, at_ms, phase=QUEUED)


def admitted(job: TransformJobRecord, at_ms: int) -> TransformJobRecord | None:
    """It is the job's turn."""
    if job.status != "InProgress" or job.phase != QUEUED:
        return None
    return replace(job, phase=PREPARING, started_ms=at_ms, modified_ms=at_ms)


def prepared(job: TransformJobRecord, at_ms: int) -> TransformJobRecord | None:
    """Model and data are there: the job is launched, once."""
    if job.status != "InProgress" or job.phase != PREPARING:
        return None
    return replace(job, phase=TRANSFORMING, launched=True, modified_ms=at_ms)


def transformed(
    job: TransformJobRecord, failure: str | None, at_ms: int
) -> TransformJobRecord | None:
    """All hosts have ended; `failure` is why some objects, or all, have no output."""
    if job.phase != TRANSFORMING:
        return None
    phase = DISCARDING if job.status == "Stopping" else UPLOADING
    return replace(job, phase=phase, failure=_cut(failure), modified_ms=at_ms)


def over(job: TransformJobRecord, failure: str | None, at_ms: int) -> TransformJobRecord | None:
    """Nothing more is done for the job but to clear up; an earlier failure counts."""
    if job.phase not in {PREPARING, TRANSFORMING, UPLOADING}:
        return None
    reason = job.failure or _cut(failure)
    return replace(job, phase=DISCARDING, failure=reason, modified_ms=at_ms)


def discarded(job: TransformJobRecord, at_ms: int) -> TransformJobRecord | None:
    """Everything is done."""
    if job.phase != DISCARDING:
        return None
    return _ended(job, at_ms)


def stop_asked(job: TransformJobRecord, at_ms: int) -> TransformJobRecord | None:
    """Somebody wants the job to end."""
    if job.status != "InProgress":
        return None
    stopping = replace(job, status="Stopping", stop_asked_ms=at_ms, modified_ms=at_ms)
    return _ended(stopping, at_ms) if job.phase == QUEUED else stopping


def _ended(job: TransformJobRecord, at_ms: int) -> TransformJobRecord:
    if job.status == "Stopping":
        status = "Stopped"
    else:
        status = "Completed" if job.failure is None else "Failed"
    return replace(job, status=status, phase=ENDED, ended_ms=at_ms, modified_ms=at_ms)


def _cut(failure: str | None) -> str | None:
    return None if failure is None else failure[:FAILURE_LIMIT]
