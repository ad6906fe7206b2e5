"""Whose question is held back, and how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clary.service.operations.patience import (
    ENDPOINT_S,
    POLL_S,
    STOPPING_S,
    UPLOADING_S,
    WAITER_S,
    YOUNG_S,
    endpoint_patience_s,
    patience_s,
    tuning_patience_s,
)
from clary.service.state.endpoints import EndpointRecord
from clary.service.state.training_jobs import TrainingJob
from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor.tuning.transitions import COMPLETING, FAILED, SEARCHING
from clary.service.supervisor.tuning.transitions import STOPPING as TUNING_STOPS
from tests.service.supervisor.conftest import new_job
from tests.service.supervisor.tuning.conftest import new_tuning_job

BOTO3 = "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux#6.1 lang/python#3.11 m/D,b,Z cfg/retry#x"
WAITER = BOTO3.replace("m/D,b,Z", "m/D,B,b,Z")
SDK_2 = BOTO3 + " lib/AWS-SageMaker-Python-SDK#2.257.7"
SDK_3 = BOTO3 + " lib/AWS-SageMaker-Python-SDK#3.0"


def job(status: str, secondary: str) -> TrainingJob:
    return replace(new_job("any"), status=status, secondary=secondary, created_ms=0)


RUNNING = job("InProgress", "Training")


@pytest.mark.parametrize(
    ("asked", "caller", "age_s", "expected"),
    [
        (RUNNING, BOTO3, 5, 0),
        (RUNNING, SDK_3, 1, 0),
        (RUNNING, SDK_3, 5, YOUNG_S - 5),
        (RUNNING, SDK_3, 3600, 0),
        (RUNNING, "", 5, 0),
        (RUNNING, SDK_2, 5, YOUNG_S - 5),
        (RUNNING, SDK_2, 3600, 0),
        (RUNNING, WAITER, 3600, WAITER_S),
        (RUNNING, WAITER.replace("m/D,B,b,Z", "m/B"), 5, WAITER_S),
        (job("InProgress", "Pending"), SDK_2, 0, YOUNG_S),
        (job("InProgress", "Uploading"), BOTO3, 3600, UPLOADING_S),
        (job("Stopping", "Uploading"), SDK_3, 3600, UPLOADING_S),
        (job("Stopping", "Stopping"), BOTO3, 3600, STOPPING_S),
        (job("Stopping", "Stopping"), WAITER, 3600, WAITER_S),
        (job("Completed", "Completed"), WAITER, 5, 0),
        (job("Failed", "Failed"), SDK_2, 5, 0),
        (job("Deleting", "Failed"), BOTO3, 5, 0),
    ],
)
def test_who_waits_how_long(asked: TrainingJob, caller: str, age_s: int, expected: float) -> None:
    assert patience_s(asked, {"user-agent": caller}, age_s * 1000) == expected


def tuning_job(state: tuple[str, str], trials: int) -> TuningJob:
    return replace(new_tuning_job("any"), status=state[0], phase=state[1], trials=trials)


@pytest.mark.parametrize(
    ("asked", "caller", "expected"),
    [
        (tuning_job(SEARCHING, 2), SDK_2, 0),
        (tuning_job(SEARCHING, 3), BOTO3, 0),
        (tuning_job(SEARCHING, 3), SDK_2, POLL_S),
        (tuning_job(SEARCHING, 3), SDK_3, POLL_S),
        (tuning_job(COMPLETING, 2), BOTO3, STOPPING_S),
        (tuning_job(TUNING_STOPS, 2), BOTO3, STOPPING_S),
        (tuning_job(FAILED, 3), SDK_2, 0),
    ],
)
def test_who_waits_for_a_tuning_job(asked: TuningJob, caller: str, expected: float) -> None:
    assert tuning_patience_s(asked, {"user-agent": caller}) == expected


def endpoint(status: str) -> EndpointRecord:
    return EndpointRecord(
        name="any",
        arn="arn",
        status=status,
        config_name="config",
        config={},
        created_ms=0,
        modified_ms=0,
    )


@pytest.mark.parametrize(
    ("asked", "caller", "age_s", "expected"),
    [
        (endpoint("Creating"), BOTO3, 5, 0),
        (endpoint("Creating"), WAITER, 3600, WAITER_S),
        (endpoint("Creating"), SDK_2, 5, ENDPOINT_S - 5),
        (endpoint("Updating"), SDK_2, 3600, 0),
        (endpoint("Updating"), SDK_3, 3600, POLL_S),
        (endpoint("Deleting"), WAITER, 5, WAITER_S),
        (endpoint("InService"), WAITER, 5, 0),
        (endpoint("Failed"), SDK_2, 0, 0),
    ],
)
def test_who_waits_for_an_endpoint(
    asked: EndpointRecord, caller: str, age_s: int, expected: float
) -> None:
    assert endpoint_patience_s(asked, {"user-agent": caller}, age_s * 1000) == expected
