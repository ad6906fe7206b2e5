"""ListHyperParameterTuningJobs and the trials of one: filters, order and pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clary.service.call import Call
from clary.service.faults import validation
from clary.service.office import Handler, Office
from clary.service.operations.list_filters import passes
from clary.service.operations.pages import listed, page, read_token, write_token
from clary.service.operations.tuning_describing import objectives_of, summary, trial_summary
from clary.service.operations.tuning_jobs import no_such_tuning_job
from clary.service.state.state import State
from clary.service.state.trials import TrialOrder, place
from clary.service.state.tuning_jobs import TuningJob

PAGE_SIZE = 10
_Page = tuple[list[dict[str, Any]], str | None]
_VALUE = "FinalHyperParameterTuningJobObjectiveMetric"

_ORDERS: Mapping[str, Callable[[TuningJob], tuple[Any, ...]]] = {
    "Name": lambda job: (job.name, job.number),
    "CreationTime": lambda job: (job.created_ms, job.number),
    "Status": lambda job: (job.status, job.number),
}
_TRIAL_ORDERS: Mapping[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]] = {
    "Status": lambda trial: (trial["TrainingJobStatus"], trial["TrainingJobName"]),
    "FinalObjectiveMetricValue": lambda trial: (trial[_VALUE]["Value"], trial["TrainingJobName"]),
}


def list_tuning_jobs(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the tuning jobs that pass all filters."""
    asked = call.parameters
    status = asked.get("StatusEquals")
    known = office.state.tuning_jobs.select((status,) if status else ())
    jobs = [job for job in known if passes(job, asked)]
    chosen, onward = listed(jobs, _ORDERS, asked, first_by="Name", size=PAGE_SIZE)
    shown = [summary(office.state, job) for job in chosen]
    return {"HyperParameterTuningJobSummaries": shown, **onward}


def list_trials(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the training jobs of a tuning job; by objective, only those that have one."""
    asked = call.parameters
    name = asked["HyperParameterTuningJobName"]
    job = office.state.tuning_jobs.find(name)
    if job is None:
        raise no_such_tuning_job(name)
    pick = _page_of_all if asked.get("SortBy") in _TRIAL_ORDERS else _page_alone
    try:
        chosen, token = pick(office.state, job, asked)
    except ValueError as error:
        raise validation(f"Invalid NextToken: {error}.") from error
    answer: dict[str, Any] = {"TrainingJobSummaries": chosen}
    if token is not None:
        answer["NextToken"] = token
    return answer


def _page_alone(state: State, job: TuningJob, asked: Mapping[str, Any]) -> _Page:
    """A page by what the database sorts by, of which no other trial is read."""
    order: TrialOrder = "CreationTime" if asked.get("SortBy") == "CreationTime" else "Name"
    size, token = asked.get("MaxResults", PAGE_SIZE), asked.get("NextToken")
    trials = state.trials.page(
        job.number,
        order,
        size + 1,
        None if token is None else _read_place(token, order),
        status=asked.get("StatusEquals"),
        descending=asked.get("SortOrder") == "Descending",
    )
    chosen, objectives = trials[:size], objectives_of(job)
    more = write_token(place(chosen[-1], order)) if len(trials) > size else None
    return [trial_summary(trial, objectives) for trial in chosen], more


def _read_place(token: str, order: TrialOrder) -> Sequence[Any]:
    """Where the page before has ended.

    Raises:
        ValueError: the token is not one of ours, or belongs to another order.
    """
    found: Any = read_token(token)
    kinds = [str] if order == "Name" else [int, str]
    fits = isinstance(found, list) and [type(one) for one in found] == kinds
    if not fits or (order == "CreationTime" and not 0 <= found[0] < 2**63):
        raise ValueError("The token belongs to another request")
    return [*found]


def _page_of_all(state: State, job: TuningJob, asked: Mapping[str, Any]) -> _Page:
    """A page by what has to be known of all trials."""
    objectives, sort_by = objectives_of(job), asked["SortBy"]
    status = asked.get("StatusEquals")
    trials = [
        trial_summary(trial, objectives)
        for trial in state.trials.of(job.number)
        if status is None or trial.status == status
    ]
    if sort_by == "FinalObjectiveMetricValue":
        trials = [trial for trial in trials if _VALUE in trial]
    order = _TRIAL_ORDERS[sort_by]
    descending = asked.get("SortOrder") == "Descending"
    trials.sort(key=order, reverse=descending)
    size = asked.get("MaxResults", PAGE_SIZE)
    return page(trials, order, asked.get("NextToken"), size, descending=descending)


OPERATIONS: dict[str, Handler] = {
    "ListHyperParameterTuningJobs": list_tuning_jobs,
    "ListTrainingJobsForHyperParameterTuningJob": list_trials,
}
