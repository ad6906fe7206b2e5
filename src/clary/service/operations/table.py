"""Every operation that Clary offers, by service and name."""

from __future__ import annotations

from collections.abc import Mapping

from clary.service.office import Handler
from clary.service.operations import (
    application_autoscaling,
    cloudwatch,
    endpoint_configs,
    endpoint_updates,
    endpoints,
    iam,
    invoking,
    log_events,
    log_filtering,
    logs,
    models,
    processing_jobs,
    s3,
    search,
    step_metrics,
    sts,
    tags,
    training_job_lists,
    training_jobs,
    transform_jobs,
    tuning_job_lists,
    tuning_jobs,
)

OPERATIONS: Mapping[str, Mapping[str, Handler]] = {
    "sagemaker": {
        **training_jobs.OPERATIONS,
        **training_job_lists.OPERATIONS,
        **tuning_jobs.OPERATIONS,
        **tuning_job_lists.OPERATIONS,
        **processing_jobs.OPERATIONS,
        **models.OPERATIONS,
        **endpoint_configs.OPERATIONS,
        **endpoints.OPERATIONS,
        **endpoint_updates.OPERATIONS,
        **transform_jobs.OPERATIONS,
        **tags.OPERATIONS,
        **search.OPERATIONS,
    },
    "sagemaker-runtime": invoking.OPERATIONS,
    "sagemaker-metrics": step_metrics.OPERATIONS,
    "application-autoscaling": application_autoscaling.OPERATIONS,
    "cloudwatch": cloudwatch.OPERATIONS,
    "logs": {**logs.OPERATIONS, **log_events.OPERATIONS, **log_filtering.OPERATIONS},
    "s3": s3.OPERATIONS,
    "sts": sts.OPERATIONS,
    "iam": iam.OPERATIONS,
}

# Those that may hold their answer back until a job or an endpoint changes.
PATIENT = frozenset(
    {
        ("sagemaker", "DescribeTrainingJob"),
        ("sagemaker", "DescribeHyperParameterTuningJob"),
        ("sagemaker", "DescribeEndpoint"),
        ("sagemaker", "DescribeTransformJob"),
    }
)

# Those that wait for a model's answer.
INVOKING = frozenset(("sagemaker-runtime", name) for name in invoking.WAITING)

# Those that copy objects, however large, from disk to disk.
COPYING = frozenset(
    {("s3", "CopyObject"), ("s3", "UploadPartCopy"), ("s3", "CompleteMultipartUpload")}
)
