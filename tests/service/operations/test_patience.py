"""Whose question is held back, and how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clary.service.operations.patience import (
    STOPPING_S,
    UPLOADING_S,
    WAITER_S,
    YOUNG_S,
    patience_s,
)
from clary.service.state.training_jobs import TrainingJob
from tests.service.supervisor.conftest import new_job

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
        (RUNNING, SDK_3, 5, 0),
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
