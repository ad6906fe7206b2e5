"""CreateHyperParameterTuningJob and the operations on what it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary import clock
from clary.service.call import Call
from clary.service.faults import Fault, not_to_be_stopped, resource_in_use
from clary.service.office import Handler, Office
from clary.service.operations.patience import tuning_patience_s
from clary.service.operations.training_job_checks import check_tags
from clary.service.operations.tuning_completing import completed_request
from clary.service.operations.tuning_describing import description
from clary.service.operations.tuning_job_checks import check_tuning_request
from clary.service.operations.tuning_warm_start import check_parents
from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor.tuning.transitions import SEARCHING


def create_tuning_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Check a tuning job, store it and tell the supervisor."""
    request = completed_request(call.parameters)
    definitions = check_tuning_request(request)
    tags = request.pop("Tags", ())
    check_tags(tags)
    parents = check_parents(office, request, definitions)
    name, created_ms = request["HyperParameterTuningJobName"], clock.now_ms()
    status, phase = SEARCHING
    job = TuningJob(
        name=name,
        arn=office.arn(f"hyper-parameter-tuning-job/{name}"),
        request=request,
        status=status,
        phase=phase,
        created_ms=created_ms,
        modified_ms=created_ms,
        parents=tuple(parent.number for parent in parents),
    )
    earlier = office.state.create_tuning_job(job, {tag["Key"]: tag["Value"] for tag in tags})
    if earlier is not None:
        raise resource_in_use(
            "Hyperparameter tuning job names must be unique within an AWS account and region, and "
            f"a hyperparameter tuning job with this name already exists ({earlier.arn})"
        )
    office.supervisor.submit(name)
    return {"HyperParameterTuningJobArn": job.arn}


def describe_tuning_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Show a tuning job and its best trial; late, when its end is near."""
    name = call.parameters["HyperParameterTuningJobName"]
    job = _existing(office, name)
    patience = tuning_patience_s(job, call.headers)
    if patience > 0:
        later = office.supervisor.wait_until_tuning(name, lambda now: not now.active, patience)
        if later is None:
            raise no_such_tuning_job(name)
        job = later
    return description(office.state, job)


def stop_tuning_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Ask for a tuning job's end; its trials are stopped, and what they have is kept."""
    name = call.parameters["HyperParameterTuningJobName"]
    if not office.supervisor.stop_tuning_job(name):
        job = _existing(office, name)
        if not job.active:
            raise not_to_be_stopped("hyperparameter tuning job", job.status)
    return {}


def delete_tuning_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Forget an ended tuning job; its training jobs stay."""
    name = call.parameters["HyperParameterTuningJobName"]
    if not office.supervisor.delete_tuning_job(name):
        job = _existing(office, name)
        raise resource_in_use(
            f"The hyperparameter tuning job {job.arn} is {job.status}: stop it before it is "
            "deleted."
        )
    return {}


def no_such_tuning_job(name: str) -> Fault:
    """A tuning job that is not there."""
    return Fault("ResourceNotFound", f"Hyperparameter tuning job {name} does not exist.")


def _existing(office: Office, name: str) -> TuningJob:
    job = office.state.tuning_jobs.find(name)
    if job is None:
        raise no_such_tuning_job(name)
    return job


OPERATIONS: dict[str, Handler] = {
    "CreateHyperParameterTuningJob": create_tuning_job,
    "DescribeHyperParameterTuningJob": describe_tuning_job,
    "StopHyperParameterTuningJob": stop_tuning_job,
    "DeleteHyperParameterTuningJob": delete_tuning_job,
}
