"""The limits of a StoppingCondition."""

from __future__ import annotations

from clary.service.state.training_jobs import TrainingJob
from clary.service.supervisor.transitions import Event

DEFAULT_RUNTIME_S = 86_400


def exceeded(job: TrainingJob, now_ms: int) -> Event | None:
    """The limit that a job has passed, if any.

    MaxRuntime counts from the first line of user code, MaxWait from the creation and for managed
    spot training only, MaxPending from the creation until the job is admitted.
    """
    condition = job.request.get("StoppingCondition") or {}
    age_ms = now_ms - job.created_ms
    pending_s = condition.get("MaxPendingTimeInSeconds")
    if pending_s is not None and job.started_ms is None and age_ms > pending_s * 1000:
        return Event.PENDING_EXCEEDED
    wait_s = condition.get("MaxWaitTimeInSeconds")
    spot = job.request.get("EnableManagedSpotTraining")
    if spot and wait_s is not None and age_ms > wait_s * 1000:
        return Event.WAIT_EXCEEDED
    runtime_s = condition.get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_S)
    if job.running_ms is not None and now_ms - job.running_ms > runtime_s * 1000:
        return Event.RUNTIME_EXCEEDED
    return None
