"""SageMaker's variables change what a replica does, and nonsense in them is named."""

from __future__ import annotations

from typing import Any

import pytest

from clary.endpoint.container_variables import with_variables
from clary.errors import UsageError
from clary.formats.replica import ReplicaSettings

SETTINGS = ReplicaSettings(
    endpoint="dogs", variant="AllTraffic", instance="i-1", kind="script", model="/opt/ml/model"
)


@pytest.mark.parametrize(
    ("variables", "changed"),
    [
        ({}, {}),
        ({"SAGEMAKER_MODEL_SERVER_WORKERS": "3"}, {"workers": 3}),
        ({"TS_DEFAULT_WORKERS_PER_MODEL": "2"}, {"workers": 2}),
        ({"SAGEMAKER_MODEL_SERVER_TIMEOUT": "120"}, {"deadline_s": 120.0}),
        (
            {
                "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS": "5",
                "SAGEMAKER_MODEL_SERVER_TIMEOUT": "120",
            },
            {"deadline_s": 5.0},
        ),
        ({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "20"}, {"max_body_bytes": 20 << 20}),
        ({"TS_MAX_REQUEST_SIZE": "1000"}, {"max_body_bytes": 1000}),
        ({"TS_JOB_QUEUE_SIZE": "7"}, {"waiting": 7}),
        ({"SAGEMAKER_MULTI_MODEL": "true"}, {"multi_model": True}),
        ({"SAGEMAKER_MULTI_MODEL": "false", "SAGEMAKER_BIND_TO_PORT": "9"}, {}),
        ({"SAGEMAKER_MODEL_SERVER_WORKERS": ""}, {}),
        ({"CLARY_MAX_PIXELS": "1000000"}, {"max_pixels": 1_000_000}),
        ({"CLARY_ALLOW_PRIVATE_URLS": "1"}, {"allow_urls": True, "private_urls": True}),
    ],
)
def test_what_a_variable_changes(variables: dict[str, str], changed: dict[str, Any]) -> None:
    told = with_variables(SETTINGS, variables)
    assert told.model_dump() == SETTINGS.model_dump() | changed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAGEMAKER_MODEL_SERVER_WORKERS", "many"),
        ("SAGEMAKER_MODEL_SERVER_WORKERS", "0"),
        ("SAGEMAKER_MODEL_SERVER_TIMEOUT", "-1"),
        ("TS_MAX_REQUEST_SIZE", "0"),
    ],
)
def test_nonsense_is_named(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is '{value}'"):
        with_variables(SETTINGS, {name: value})
