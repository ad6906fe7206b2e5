"""CreateTrainingJob and the operations on what it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary import clock
from clary.service.call import Call
from clary.service.faults import Fault, not_found, not_to_be_stopped, resource_in_use
from clary.service.office import Handler, Office
from clary.service.operations.describing import description
from clary.service.operations.patience import patience_s
from clary.service.operations.training_job_checks import check_request
from clary.service.operations.training_job_updates import closed_by_update, updated
from clary.service.requests.updates import with_profiler_defaults
from clary.service.supervisor.deadlines import DEFAULT_RUNTIME_S
from clary.service.supervisor.rules.evaluations import evaluations_added, evaluations_of
from clary.service.supervisor.transitions import submitted


def create_training_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Check a job, store it and tell the supervisor."""
    request = with_profiler_defaults(call.parameters)
    check_request(request)
    condition = {"MaxRuntimeInSeconds": DEFAULT_RUNTIME_S, **request.get("StoppingCondition", {})}
    request["StoppingCondition"] = condition
    tags = {tag["Key"]: tag["Value"] for tag in request.pop("Tags", ())}
    name, created_ms = request["TrainingJobName"], clock.now_ms()
    job = submitted(name, office.arn(f"training-job/{name}"), request, created_ms)
    earlier = office.state.create_training_job(job, tags, evaluations_of(job))
    if earlier is not None:
        raise resource_in_use(
            "Training job names must be unique within an AWS account and region, and a training "
            f"job with this name already exists ({earlier.arn})"
        )
    office.supervisor.submit(name)
    return {"TrainingJobArn": job.arn}


def describe_training_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Show a job; late, when its end is near and the caller waits for it."""
    name = call.parameters["TrainingJobName"]
    job = office.state.training_jobs.find(name)
    if job is None:
        raise not_found()
    patience = patience_s(job, call.headers, clock.now_ms())
    if patience > 0:
        job = office.supervisor.wait_until(name, lambda now: not now.active, patience)
        if job is None:
            raise not_found()
    return description(job, office.state.rule_evaluations.of_job(job.number))


def stop_training_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Ask for a job's end."""
    name = call.parameters["TrainingJobName"]
    job = office.state.training_jobs.find(name)
    if job is None:
        raise not_found()
    if not office.supervisor.stop_job(name):
        job = office.state.training_jobs.find(name)
        if job is None:
            raise not_found()
        if job.status != "Stopping":
            raise not_to_be_stopped("training job", job.status)
    return {}


def update_training_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Change what may be changed while a job runs."""
    name = call.parameters["TrainingJobName"]
    job = office.state.update_training_job(
        name,
        lambda job: updated(job, call.parameters, clock.now_ms()),
        evaluations_added,
        closed_by_update,
    )
    if job is None:
        raise _no_such_job(name)
    office.supervisor.submit(name)
    return {"TrainingJobArn": job.arn}


def delete_training_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Forget an ended job: its folder, log, metrics and tags; what is in S3 stays."""
    name = call.parameters["TrainingJobName"]
    _check_tuning_has_ended(office, name)
    if not office.supervisor.delete_job(name):
        job = office.state.training_jobs.find(name)
        if job is None:
            raise _no_such_job(name)
        if job.status != "Deleting":
            raise resource_in_use(
                f"The training job {job.arn} is {job.status}: stop it before it is deleted."
            )
    return {}


def _check_tuning_has_ended(office: Office, name: str) -> None:
    """A tuning job learns from its trials until it has ended."""
    job = office.state.training_jobs.find(name)
    if job is None or job.trial is None:
        return
    tuning_job = office.state.tuning_jobs.find(job.trial.tuning_job)
    if (
        tuning_job is not None
        and tuning_job.number == job.trial.tuning_number
        and tuning_job.active
    ):
        raise resource_in_use(
            f"The training job {job.arn} belongs to the hyperparameter tuning job "
            f"{tuning_job.name}, which is {tuning_job.status}: stop that before it is deleted."
        )


def _no_such_job(name: str) -> Fault:
    return Fault("ResourceNotFound", f"Training job {name} does not exist.")


OPERATIONS: dict[str, Handler] = {
    "CreateTrainingJob": create_training_job,
    "DescribeTrainingJob": describe_training_job,
    "StopTrainingJob": stop_training_job,
    "UpdateTrainingJob": update_training_job,
    "DeleteTrainingJob": delete_training_job,
}
