"""Training jobs as the API shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from clary.formats.rule_request import RuleKind
from clary.service.operations.times import timestamp
from clary.service.requests.updates import NOTES, is_profiled, merged
from clary.service.state.rule_evaluations import RuleEvaluation
from clary.service.state.training_jobs import JobSummary, TrainingJob, Transition

_NOT_SHOWN = {"Tags", "SessionChainingConfig", *NOTES}
_DEFAULTS: Mapping[str, Any] = {
    "EnableNetworkIsolation": False,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": False,
}
_STATUSES: Mapping[RuleKind, str] = {
    "debug": "DebugRuleEvaluationStatuses",
    "profiler": "ProfilerRuleEvaluationStatuses",
}
_CHANNEL_DEFAULTS = {"CompressionType": "None", "RecordWrapperType": "None"}
_OUTPUT_DEFAULTS = {"KmsKeyId": "", "CompressionType": "GZIP"}


def description(job: TrainingJob, rules: Sequence[RuleEvaluation] = ()) -> dict[str, Any]:
    """A job as DescribeTrainingJob answers: what was asked, and what became of it.

    Args:
        job: the job.
        rules: how its rules stand.
    """
    request = merged(job.request, job.updates)
    described: dict[str, Any] = {
        **_DEFAULTS,
        **{name: value for name, value in request.items() if name not in _NOT_SHOWN},
        "TrainingJobArn": job.arn,
        "ModelArtifacts": {"S3ModelArtifacts": job.model_artifacts or ""},
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary,
        "CreationTime": timestamp(job.created_ms),
        "LastModifiedTime": timestamp(job.modified_ms),
        "SecondaryStatusTransitions": [_transition(one) for one in job.transitions],
        "OutputDataConfig": {**_OUTPUT_DEFAULTS, **request["OutputDataConfig"]},
    }
    channels = request.get("InputDataConfig")
    if channels:
        described["InputDataConfig"] = [{**_CHANNEL_DEFAULTS, **channel} for channel in channels]
    if job.trial is not None:
        described["TuningJobArn"] = job.trial.tuning_arn
    if job.status == "Failed" and job.failure is not None:
        described["FailureReason"] = job.failure
    if job.started_ms is not None:
        described["TrainingStartTime"] = timestamp(job.started_ms)
    if job.ended_ms is not None and not job.active:
        described["TrainingEndTime"] = timestamp(job.ended_ms)
        if job.started_ms is not None:
            seconds = max(1, math.ceil((job.ended_ms - job.started_ms) / 1000))
            described["TrainingTimeInSeconds"] = seconds
            described["BillableTimeInSeconds"] = seconds
    if job.final_metrics:
        described["FinalMetricDataList"] = [
            {
                "MetricName": name,
                "Value": metric.value,
                "Timestamp": timestamp(metric.timestamp_ms),
            }
            for name, metric in job.final_metrics.items()
        ]
    for kind, member in _STATUSES.items():
        stand = [_rule_status(one) for one in rules if one.kind == kind]
        if stand:
            described[member] = stand
    described["ProfilingStatus"] = "Enabled" if is_profiled(request) else "Disabled"
    return described


def summary(job: JobSummary) -> dict[str, Any]:
    """A job as ListTrainingJobs answers."""
    shown: dict[str, Any] = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": timestamp(job.created_ms),
        "LastModifiedTime": timestamp(job.modified_ms),
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary,
    }
    if job.ended_ms is not None and not job.active:
        shown["TrainingEndTime"] = timestamp(job.ended_ms)
    return shown


def _transition(one: Transition) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Status": one.status,
        "StartTime": timestamp(one.started_ms),
        "StatusMessage": one.message,
    }
    if one.ended_ms is not None:
        shown["EndTime"] = timestamp(one.ended_ms)
    return shown


def _rule_status(one: RuleEvaluation) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "RuleConfigurationName": one.configuration,
        "RuleEvaluationJobArn": one.arn,
        "RuleEvaluationStatus": one.status,
        "LastModifiedTime": timestamp(one.modified_ms),
    }
    if one.details:
        shown["StatusDetails"] = one.details
    return shown
