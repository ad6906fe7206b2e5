"""ListTrainingJobs: filters, order and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.service.call import Call
from clary.service.office import Handler, Office
from clary.service.operations.describing import summary
from clary.service.operations.list_filters import passes
from clary.service.operations.pages import listed
from clary.service.state.training_jobs import JobSummary

PAGE_SIZE = 10

_ORDERS: Mapping[str, Any] = {
    "Name": lambda job: (job.name, job.number),
    "CreationTime": lambda job: (job.created_ms, job.number),
    "Status": lambda job: (job.status, job.number),
}


def list_training_jobs(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the jobs that pass all filters."""
    asked = call.parameters
    status = asked.get("StatusEquals")
    known = office.state.training_jobs.summaries((status,) if status else ())
    jobs = [job for job in known if _passes(job, asked)]
    chosen, onward = listed(jobs, _ORDERS, asked, first_by="CreationTime", size=PAGE_SIZE)
    return {"TrainingJobSummaries": [summary(job) for job in chosen], **onward}


def _passes(job: JobSummary, asked: Mapping[str, Any]) -> bool:
    # Warm pools and training plans are stored with a job, and no job is ever in one.
    if "WarmPoolStatusEquals" in asked or "TrainingPlanArnEquals" in asked:
        return False
    return passes(job, asked)


OPERATIONS: dict[str, Handler] = {"ListTrainingJobs": list_training_jobs}
