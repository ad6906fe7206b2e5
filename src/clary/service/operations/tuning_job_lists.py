"""ListHyperParameterTuningJobs and the trials of one: filters, order and pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clary.service.call import Call
from clary.service.faults import validation
from clary.service.office import Handler, Office
from clary.service.operations.pages import page
from clary.service.operations.times import milliseconds
from clary.service.operations.tuning_describing import objectives_of, summary, trial_summary
from clary.service.operations.tuning_jobs import no_such_tuning_job
from clary.service.state.tuning_jobs import TuningJob

PAGE_SIZE = 10
_VALUE = "FinalHyperParameterTuningJobObjectiveMetric"

_ORDERS: Mapping[str, Callable[[TuningJob], tuple[Any, ...]]] = {
    "Name": lambda job: (job.name, job.number),
    "CreationTime": lambda job: (job.created_ms, job.number),
    "Status": lambda job: (job.status, job.number),
}
_TRIAL_ORDERS: Mapping[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]] = {
    "Name": lambda trial: (trial["TrainingJobName"],),
    "CreationTime": lambda trial: (
        milliseconds(trial["CreationTime"]),
        trial["TrainingJobName"],
    ),
    "Status": lambda trial: (trial["TrainingJobStatus"], trial["TrainingJobName"]),
    "FinalObjectiveMetricValue": lambda trial: (trial[_VALUE]["Value"], trial["TrainingJobName"]),
}


def list_tuning_jobs(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the tuning jobs that pass all filters."""
    asked = call.parameters
    status = asked.get("StatusEquals")
    known = office.state.tuning_jobs.select((status,) if status else ())
    jobs = [job for job in known if _passes(job, asked)]
    order = _ORDERS[asked.get("SortBy", "Name")]
    descending = asked.get("SortOrder") == "Descending"
    jobs.sort(key=order, reverse=descending)
    size = asked.get("MaxResults", PAGE_SIZE)
    try:
        chosen, token = page(jobs, order, asked.get("NextToken"), size, descending=descending)
    except ValueError as error:
        raise validation(f"Invalid NextToken: {error}.") from error
    shown = [summary(office.state, job) for job in chosen]
    answer: dict[str, Any] = {"HyperParameterTuningJobSummaries": shown}
    if token is not None:
        answer["NextToken"] = token
    return answer


def list_trials(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the training jobs of a tuning job; by objective, only those that have one."""
    asked = call.parameters
    name = asked["HyperParameterTuningJobName"]
    job = office.state.tuning_jobs.find(name)
    if job is None:
        raise no_such_tuning_job(name)
    objectives = objectives_of(job)
    status, sort_by = asked.get("StatusEquals"), asked.get("SortBy", "Name")
    trials = [
        trial_summary(trial, objectives)
        for trial in office.state.training_jobs.trials_of(job.number)
        if status is None or trial.status == status
    ]
    if sort_by == "FinalObjectiveMetricValue":
        trials = [trial for trial in trials if _VALUE in trial]
    order = _TRIAL_ORDERS[sort_by]
    descending = asked.get("SortOrder") == "Descending"
    trials.sort(key=order, reverse=descending)
    size = asked.get("MaxResults", PAGE_SIZE)
    try:
        chosen, token = page(trials, order, asked.get("NextToken"), size, descending=descending)
    except ValueError as error:
        raise validation(f"Invalid NextToken: {error}.") from error
    answer: dict[str, Any] = {"TrainingJobSummaries": chosen}
    if token is not None:
        answer["NextToken"] = token
    return answer


def _passes(job: TuningJob, asked: Mapping[str, Any]) -> bool:
    if asked.get("NameContains", "").lower() not in job.name.lower():
        return False
    for name, at_ms in (("CreationTime", job.created_ms), ("LastModifiedTime", job.modified_ms)):
        after, before = asked.get(f"{name}After"), asked.get(f"{name}Before")
        if after is not None and at_ms <= milliseconds(after):
            return False
        if before is not None and at_ms >= milliseconds(before):
            return False
    return True


OPERATIONS: dict[str, Handler] = {
    "ListHyperParameterTuningJobs": list_tuning_jobs,
    "ListTrainingJobsForHyperParameterTuningJob": list_trials,
}
