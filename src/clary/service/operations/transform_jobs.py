"""CreateTransformJob and the operations on what it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary import clock
from clary.service.call import Call
from clary.service.faults import no_such_job, not_to_be_stopped, resource_in_use
from clary.service.office import Handler, Office
from clary.service.operations.list_filters import passes
from clary.service.operations.models import no_such_model
from clary.service.operations.pages import listed
from clary.service.operations.patience import transform_patience_s
from clary.service.operations.times import timestamp
from clary.service.operations.transform_job_checks import check_transform_request
from clary.service.state.transform_jobs import TransformJobRecord
from clary.service.supervisor.transforms.transitions import created

PAGE_SIZE = 10

_ORDERS: Mapping[str, Any] = {
    "Name": lambda job: (job.name, job.number),
    "CreationTime": lambda job: (job.created_ms, job.number),
    "Status": lambda job: (job.status, job.number),
}
_INPUT_DEFAULTS = {"CompressionType": "None", "SplitType": "None"}
_OUTPUT_DEFAULTS = {"AssembleWith": "None", "KmsKeyId": ""}
_PROCESSING_DEFAULTS = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}


def create_transform_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Check a job, store it with its model as that is now, and tell the supervisor."""
    request = dict(call.parameters)
    tags = request.pop("Tags", ())
    model = office.state.models.find(request["ModelName"])
    if model is None:
        raise no_such_model(office, request["ModelName"])
    check_transform_request(request, model.request, tags)
    name = request["TransformJobName"]
    arn = office.arn(f"transform-job/{name}")
    job = created(name, arn, request, model.request, clock.now_ms())
    earlier = office.state.transform_jobs.create(job, {tag["Key"]: tag["Value"] for tag in tags})
    if earlier is not None:
        raise resource_in_use(
            "Transform job names must be unique within an AWS account and region, and a transform "
            f"job with this name already exists ({earlier.arn})"
        )
    office.transforms.wake()
    return {"TransformJobArn": arn}


def describe_transform_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Show a job; late, when its end is near and the caller waits for it."""
    name = call.parameters["TransformJobName"]
    job = office.state.transform_jobs.find(name)
    if job is None:
        raise no_such_job(name)
    patience = transform_patience_s(job, call.headers, clock.now_ms())
    if patience > 0:
        job = office.transforms.wait_until(name, lambda now: not now.active, patience)
        if job is None:
            raise no_such_job(name)
    return _description(job)


def list_transform_jobs(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the jobs that pass all filters."""
    asked = call.parameters
    status = asked.get("StatusEquals")
    known = office.state.transform_jobs.select((status,) if status else ())
    jobs = [job for job in known if passes(job, asked)]
    chosen, onward = listed(jobs, _ORDERS, asked, first_by="CreationTime", size=PAGE_SIZE)
    return {"TransformJobSummaries": [_summary(job) for job in chosen], **onward}


def stop_transform_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Ask for a job's end; nothing of it is stored."""
    name = call.parameters["TransformJobName"]
    if not office.transforms.stop_job(name):
        job = office.state.transform_jobs.find(name)
        if job is None:
            raise no_such_job(name)
        if job.status != "Stopping":
            raise not_to_be_stopped("transform job", job.status)
    return {}


def _description(job: TransformJobRecord) -> dict[str, Any]:
    request = job.request
    described: dict[str, Any] = {
        **request,
        "TransformJobArn": job.arn,
        "TransformJobStatus": job.status,
        "TransformInput": {**_INPUT_DEFAULTS, **request["TransformInput"]},
        "TransformOutput": {**_OUTPUT_DEFAULTS, **request["TransformOutput"]},
        "DataProcessing": {**_PROCESSING_DEFAULTS, **(request.get("DataProcessing") or {})},
        "CreationTime": timestamp(job.created_ms),
    }
    if job.started_ms is not None:
        described["TransformStartTime"] = timestamp(job.started_ms)
    return {**described, **_end(job)}


def _summary(job: TransformJobRecord) -> dict[str, Any]:
    return {
        "TransformJobName": job.name,
        "TransformJobArn": job.arn,
        "CreationTime": timestamp(job.created_ms),
        "LastModifiedTime": timestamp(job.modified_ms),
        "TransformJobStatus": job.status,
        **_end(job),
    }


def _end(job: TransformJobRecord) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if job.ended_ms is not None:
        shown["TransformEndTime"] = timestamp(job.ended_ms)
    if job.status == "Failed" and job.failure is not None:
        shown["FailureReason"] = job.failure
    return shown


OPERATIONS: dict[str, Handler] = {
    "CreateTransformJob": create_transform_job,
    "DescribeTransformJob": describe_transform_job,
    "ListTransformJobs": list_transform_jobs,
    "StopTransformJob": stop_transform_job,
}
