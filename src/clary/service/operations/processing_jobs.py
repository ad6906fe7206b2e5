"""Processing jobs: the rules of training jobs, each of which is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.formats.rule_request import RuleKind
from clary.service.call import Call
from clary.service.faults import no_such_job, not_to_be_stopped
from clary.service.office import Handler, Office
from clary.service.operations.list_filters import passes
from clary.service.operations.pages import listed
from clary.service.operations.times import timestamp
from clary.service.requests.rule_configurations import rule_of
from clary.service.requests.updates import PROFILER, merged
from clary.service.state.rule_evaluations import RuleEvaluation
from clary.service.state.training_jobs import TrainingJob

PAGE_SIZE = 10

# What SageMaker says of the processing job behind a rule.
STATUSES: Mapping[str, str] = {
    "InProgress": "InProgress",
    "NoIssuesFound": "Completed",
    "IssuesFound": "Completed",
    "Error": "Failed",
    "Stopping": "Stopping",
    "Stopped": "Stopped",
}

_INSIDE = "/opt/ml/processing"
_INPUTS: Mapping[RuleKind, tuple[str, str, str]] = {
    "debug": ("DebugHookConfig", "tensors", "debug-output"),
    "profiler": (PROFILER, "profiler", "profiler-output"),
}
_ORDERS: Mapping[str, Any] = {
    "Name": lambda one: (one.name, one.number),
    "CreationTime": lambda one: (one.created_ms, one.number),
    "Status": lambda one: (STATUSES[one.status], one.number),
}


def describe_processing_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the processing job of a rule."""
    name = call.parameters["ProcessingJobName"]
    evaluation = office.state.rule_evaluations.find(name)
    if evaluation is None:
        raise no_such_job(name)
    job = office.state.training_jobs.find(evaluation.training_job)
    if job is None:
        raise no_such_job(name)
    return _description(evaluation, job)


def list_processing_jobs(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the processing jobs of rules that pass all filters."""
    asked = call.parameters
    found = [one for one in office.state.rule_evaluations.select() if _passes(one, asked)]
    chosen, onward = listed(found, _ORDERS, asked, first_by="CreationTime", size=PAGE_SIZE)
    return {"ProcessingJobSummaries": [_summary(one) for one in chosen], **onward}


def stop_processing_job(office: Office, call: Call) -> Mapping[str, Any]:
    """Ask that a rule judge no more; its training job goes on."""
    name = call.parameters["ProcessingJobName"]
    if not office.supervisor.stop_rule(name):
        evaluation = office.state.rule_evaluations.find(name)
        if evaluation is None:
            raise no_such_job(name)
        if evaluation.status != "Stopping":
            raise not_to_be_stopped("processing job", STATUSES[evaluation.status])
    return {}


def _summary(one: RuleEvaluation) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "ProcessingJobName": one.name,
        "ProcessingJobArn": one.arn,
        "CreationTime": timestamp(one.created_ms),
        "LastModifiedTime": timestamp(one.modified_ms),
        "ProcessingJobStatus": STATUSES[one.status],
    }
    if one.ended_ms is not None:
        shown["ProcessingEndTime"] = timestamp(one.ended_ms)
    if one.details:
        shown["FailureReason" if one.status == "Error" else "ExitMessage"] = one.details
    return shown


def _description(one: RuleEvaluation, job: TrainingJob) -> dict[str, Any]:
    request = job.request
    rule = rule_of(request, job.updates, one.kind, one.position)
    asked = rule.asked
    resources: dict[str, Any] = {
        "InstanceCount": 1,
        "InstanceType": asked.get("InstanceType") or "ml.t3.medium",
        "VolumeSizeInGB": asked.get("VolumeSizeInGB") or 30,
    }
    shown = {
        **_summary(one),
        "AppSpecification": {"ImageUri": asked["RuleEvaluatorImage"]},
        "Environment": dict(asked.get("RuleParameters") or {}),
        "ProcessingResources": {"ClusterConfig": resources},
        "StoppingCondition": {
            "MaxRuntimeInSeconds": request["StoppingCondition"]["MaxRuntimeInSeconds"]
        },
        "ProcessingInputs": _inputs(job, one.kind),
        "ProcessingOutputConfig": {
            "Outputs": [_output("rule-output", rule.output, asked.get("LocalPath"))]
        },
        "RoleArn": request["RoleArn"],
        "TrainingJobArn": job.arn,
    }
    if one.started_ms is not None:
        shown["ProcessingStartTime"] = timestamp(one.started_ms)
    return shown


def _inputs(job: TrainingJob, kind: RuleKind) -> list[dict[str, Any]]:
    member, name, folder = _INPUTS[kind]
    config = merged(job.request, job.updates).get(member)
    if not config:
        return []
    return [
        {
            "InputName": name,
            "AppManaged": False,
            "S3Input": {
                "S3Uri": f"{config['S3OutputPath'].rstrip('/')}/{job.name}/{folder}",
                "LocalPath": f"{_INSIDE}/input/{name}",
                "S3DataType": "S3Prefix",
                "S3InputMode": "File",
                "S3DataDistributionType": "FullyReplicated",
                "S3CompressionType": "None",
            },
        }
    ]


def _output(name: str, uri: str, local_path: str | None) -> dict[str, Any]:
    return {
        "OutputName": name,
        "AppManaged": False,
        "S3Output": {
            "S3Uri": uri.rstrip("/"),
            "LocalPath": local_path or f"{_INSIDE}/output/rule",
            "S3UploadMode": "Continuous",
        },
    }


def _passes(one: RuleEvaluation, asked: Mapping[str, Any]) -> bool:
    status = asked.get("StatusEquals")
    return (status is None or STATUSES[one.status] == status) and passes(one, asked)


OPERATIONS: dict[str, Handler] = {
    "DescribeProcessingJob": describe_processing_job,
    "ListProcessingJobs": list_processing_jobs,
    "StopProcessingJob": stop_processing_job,
}
