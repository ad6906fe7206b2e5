"""How long a Describe may wait for the end, or the change, that its caller waits for.

Clients poll: the SageMaker SDK 2 asks five seconds after the creation and every thirty seconds
from then on, its version 3 every five seconds, botocore's waiters every two minutes. An answer that
comes a little late, when the job has just ended, spares them a whole turn. Who only wants to know
how a job stands is answered at once, unless the job is about to end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from clary.service.state.endpoints import EndpointRecord
from clary.service.state.training_jobs import TrainingJob
from clary.service.state.transform_jobs import TransformJobRecord
from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor.transforms.transitions import STORING
from clary.service.supervisor.tuning.transitions import WINDING_UP, state_of

# Below the 60 s after which botocore gives a request up.
WAITER_S = 45.0
# The SDK shows the log from its first answer on; on AWS that takes minutes. Version 3 asks once as
# soon as it has created a job, and is told at once.
YOUNG_S = 20.0
CREATED_S = 3.0
UPLOADING_S = 20.0
STOPPING_S = 5.0
# Models that people bring load torch first, on a small machine for some ten seconds.
ENDPOINT_S = 40.0
# The SDKs ask for a tuning job every five seconds, and SDK 3 for an endpoint: with it, they hear of
# the end at once.
POLL_S = 5.0

# botocore's waiters tell of themselves by the feature B among the features of their metrics.
_WAITER = re.compile(r"(?:^| )m/(?:[A-Za-z0-9]+,)*B(?:,|$| )")
_SDK = re.compile(r"AWS-SageMaker-Python-SDK[#/]")
_SDK_2 = re.compile(r"AWS-SageMaker-Python-SDK[#/]2\.")


def patience_s(job: TrainingJob, headers: Mapping[str, str], now_ms: int) -> float:
    """How many seconds to wait for the job's end; 0 for a job that has ended.

    Args:
        job: the job as it is.
        headers: of the request, in lower case.
        now_ms: the time.
    """
    if job.status not in {"InProgress", "Stopping"}:
        return 0.0
    caller = headers.get("user-agent", "")
    if _WAITER.search(caller):
        return WAITER_S
    if job.secondary == "Uploading":
        return UPLOADING_S
    if job.status == "Stopping":
        return STOPPING_S
    age_s = (now_ms - job.created_ms) / 1000
    if _SDK_2.search(caller) or (_SDK.search(caller) and age_s > CREATED_S):
        return max(0.0, YOUNG_S - age_s)
    return 0.0


def tuning_patience_s(job: TuningJob, headers: Mapping[str, str]) -> float:
    """How many seconds to wait for a tuning job's end; 0 for one that has ended.

    Args:
        job: the tuning job as it is.
        headers: of the request, in lower case.
    """
    if not job.active:
        return 0.0
    if state_of(job) in WINDING_UP:
        return STOPPING_S
    most = job.request["HyperParameterTuningJobConfig"]["ResourceLimits"].get(
        "MaxNumberOfTrainingJobs"
    )
    last_trials_run = most is not None and job.trials >= most
    waits = last_trials_run and _SDK.search(headers.get("user-agent", ""))
    return POLL_S if waits else 0.0


def transform_patience_s(job: TransformJobRecord, headers: Mapping[str, str], now_ms: int) -> float:
    """How many seconds to wait for a transform job's end; 0 for one that has ended.

    Args:
        job: the transform job as it is.
        headers: of the request, in lower case.
        now_ms: the time.
    """
    if not job.active:
        return 0.0
    if not _WAITER.search(headers.get("user-agent", "")):
        if job.phase in STORING:
            return UPLOADING_S
        if job.status == "Stopping":
            return STOPPING_S
    # With its log, SDK 2 asks every thirty seconds, and so hears of a short job's end at once.
    return _caller_s(headers, sdk_2=max(POLL_S, YOUNG_S - (now_ms - job.created_ms) / 1000))


def endpoint_patience_s(endpoint: EndpointRecord, headers: Mapping[str, str], now_ms: int) -> float:
    """How many seconds to wait until an endpoint is what it is to be; 0 for one that is.

    Args:
        endpoint: the endpoint as it is.
        headers: of the request, in lower case.
        now_ms: the time.
    """
    if not endpoint.moving:
        return 0.0
    return _caller_s(headers, sdk_2=max(0.0, ENDPOINT_S - (now_ms - endpoint.modified_ms) / 1000))


def _caller_s(headers: Mapping[str, str], *, sdk_2: float) -> float:
    """By who asks: a waiter of botocore's, version 2 of the SDK, a later one, anybody else."""
    caller = headers.get("user-agent", "")
    if _WAITER.search(caller):
        return WAITER_S
    if _SDK_2.search(caller):
        return sdk_2
    return POLL_S if _SDK.search(caller) else 0.0
