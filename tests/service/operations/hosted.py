"""Models, configurations and endpoints as people create them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.service.operations.conftest import ROLE, Bench

ARN = "arn:aws:sagemaker:us-east-1:000000000000:"
BUCKET = "models"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.2-cpu-py310"


def fault(call: Any, **parameters: Any) -> tuple[str, str]:
    """The code and the message of a call that is refused."""
    with pytest.raises(ClientError) as error:
        call(**parameters)
    found = error.value.response["Error"]
    return found["Code"], found["Message"]


def put_object(bench: Bench, key: str) -> str:
    """An object of the bucket of models; its URI."""
    if not bench.store.has_bucket(BUCKET):
        bench.store.create_bucket(BUCKET)
    bench.store.put(BUCKET, key, io.BytesIO(b"an archive"))
    return f"s3://{BUCKET}/{key}"


def create_model(bench: Bench, name: str, **changes: Any) -> str:
    """A model of an archive that is there; its ARN."""
    container = {"Image": IMAGE, "ModelDataUrl": put_object(bench, f"{name}/model.tar.gz")}
    request = {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    wanted = {name: value for name, value in {**request, **changes}.items() if value is not None}
    arn: str = bench.client("sagemaker").create_model(**wanted)["ModelArn"]
    return arn


def variant(model: str, **changes: Any) -> dict[str, Any]:
    """A production variant on one instance; None leaves a member out."""
    wanted = {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "InstanceType": "ml.m5.xlarge",
        "InitialInstanceCount": 1,
        **changes,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def create_config(bench: Bench, name: str, *variants: dict[str, Any], **changes: Any) -> str:
    """A configuration of variants; its ARN. Without any, a model of its name gets one."""
    if not variants:
        if bench.state.models.find(name) is None:
            create_model(bench, name)
        variants = (variant(name),)
    answer = bench.client("sagemaker").create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=list(variants), **changes
    )
    arn: str = answer["EndpointConfigArn"]
    return arn


def create_endpoint(bench: Bench, name: str, *variants: dict[str, Any], **changes: Any) -> str:
    """An endpoint of a configuration of its name, once it is in service; its ARN."""
    create_config(bench, name, *variants, **changes)
    sagemaker = bench.client("sagemaker")
    arn: str = sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)["EndpointArn"]
    reach(bench, name, "InService")
    return arn


def reach(bench: Bench, name: str, status: str) -> None:
    """Wait until an endpoint is in a status, and asks for nothing more."""
    found = bench.supervisor.endpoints.wait_until(name, lambda one: one.status == status, 60)
    assert found is not None
    assert found.status == status, found
