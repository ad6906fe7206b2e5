from __future__ import annotations

import io
import tarfile
import time
from functools import partial
from typing import Any

import pytest

from tests.service.conftest import RunningService
from tests.waiting import until

ROLE = "arn:aws:iam::000000000000:role/ClaryRole"
HANDLERS = b"""
import time

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    time.sleep(0.5)
    return body[::-1], "text/plain"
"""


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def deploy(service: RunningService, **config: Any) -> None:
    """An endpoint of one instance that turns round what it gets, slowly."""
    s3, sagemaker = service.client("s3"), service.client("sagemaker")
    s3.create_bucket(Bucket="models")
    s3.put_object(
        Bucket="models", Key="model.tar.gz", Body=archive(**{"code/inference.py": HANDLERS})
    )
    sagemaker.create_model(
        ModelName="turning",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": "own:1", "ModelDataUrl": "s3://models/model.tar.gz"},
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName="turning",
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": "turning",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
            }
        ],
        **config,
    )
    sagemaker.create_endpoint(EndpointName="turning", EndpointConfigName="turning")
    while (said := sagemaker.describe_endpoint(EndpointName="turning"))[
        "EndpointStatus"
    ] == "Creating":
        time.sleep(0.05)
    assert said["EndpointStatus"] == "InService", said


def delete(service: RunningService) -> None:
    """Leave no process behind."""
    sagemaker = service.client("sagemaker")
    sagemaker.delete_endpoint(EndpointName="turning")
    while sagemaker.list_endpoints()["Endpoints"]:
        time.sleep(0.05)


@pytest.mark.slow
def test_asynchronous_invocations_survive_a_kill(own_service: RunningService) -> None:
    config = {
        "OutputConfig": {"S3OutputPath": "s3://models/out", "S3FailurePath": "s3://models/failed"},
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1},
    }
    deploy(own_service, AsyncInferenceConfig=config)
    try:
        runtime, s3 = own_service.client("sagemaker-runtime"), own_service.client("s3")
        bodies = [b"%d and more" % number for number in range(5)]
        answers = [
            runtime.invoke_endpoint_async(
                EndpointName="turning", Body=body, ContentType="application/octet-stream"
            )
            for body in bodies
        ]
        own_service.kill()
        own_service.start(own_service.port)
        keys = [answered["OutputLocation"].partition("models/")[2] for answered in answers]
        listed = partial(s3.list_objects_v2, Bucket="models", Prefix="out/")
        until(lambda: listed()["KeyCount"] == len(keys))
        found = [s3.get_object(Bucket="models", Key=key)["Body"].read() for key in keys]
        assert found == [body[::-1] for body in bodies]
        assert s3.list_objects_v2(Bucket="models", Prefix="failed/")["KeyCount"] == 0
    finally:
        delete(own_service)
