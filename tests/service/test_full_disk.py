"""A disk that is full: said in a sentence, nothing half, and all is well with room again."""

from __future__ import annotations

import resource
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.service.conftest import RunningService

MIB = 1 << 20


def limit(service: RunningService, size: int) -> None:
    """No file of the service may grow beyond `size`: what writing finds on a full disk."""
    psutil.Process(service.pid).rlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def refused(call: Any, **parameters: Any) -> dict[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error: dict[str, str] = caught.value.response["Error"]
    return error


def test_what_is_there_stays_and_what_does_not_fit_is_refused(own_service: RunningService) -> None:
    s3, logs = own_service.client("s3"), own_service.client("logs")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="kept", Body=b"old")
    limit(own_service, MIB)
    error = refused(s3.put_object, Bucket="bucket", Key="kept", Body=b"x" * (3 * MIB))
    assert "disk is full" in error["Message"]
    assert s3.get_object(Bucket="bucket", Key="kept")["Body"].read() == b"old"
    limit(own_service, 4096)  # below what the database has already
    error = refused(logs.create_log_group, logGroupName="group")
    assert str(own_service.settings.state_file) in error["Message"]
    assert own_service.client("sts").get_caller_identity()
    limit(own_service, resource.RLIM_INFINITY)
    s3.put_object(Bucket="bucket", Key="kept", Body=b"new")
    assert s3.get_object(Bucket="bucket", Key="kept")["Body"].read() == b"new"
    logs.create_log_group(logGroupName="group")
    assert logs.describe_log_groups()["logGroups"][0]["logGroupName"] == "group"
