"""Endpoints of other kinds: people's handlers, many models behind one, serverless."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.formats.builtin_algorithm import IMAGE
from tests.endpoint.colours import picture_of
from tests.service.endpoints.conftest import BUCKET, ROLE, Hosting

_FRAMEWORK = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.2-cpu-py310"
_HANDLERS = b"""
import json, os

def model_fn(model_dir):
    return {"folder": model_dir, "files": sorted(os.listdir(model_dir))}

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    return {"data": data, **model, "told": os.environ.get("TOLD"), "home": os.getcwd()}

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""
_BROKEN = b"""
def model_fn(model_dir):
    raise RuntimeError("no weights here")
"""


def _invoke(hosting: Hosting, name: str, **more: Any) -> Any:
    answer = hosting.runtime.invoke_endpoint(
        EndpointName=name,
        **{"ContentType": "application/json", "Body": b'{"a": 1}', **more},
    )
    return json.loads(answer["Body"].read())


@pytest.mark.slow
def test_people_s_handlers_answer_from_opt_ml(hosting: Hosting) -> None:
    files = {"weights.bin": b"1", "code/inference.py": _HANDLERS}
    model = hosting.model("script", files, _FRAMEWORK, Environment={"TOLD": "yes"})
    hosting.serve("script", model)
    answer = _invoke(hosting, "script")
    assert answer["data"] == {"a": 1}
    assert answer["files"] == ["code", "weights.bin"]
    assert answer["told"] == "yes"
    hosting.delete("script")


@pytest.mark.slow
def test_a_model_fn_that_raises_is_told_by_the_first_invocation(hosting: Hosting) -> None:
    hosting.serve("broken", hosting.model("broken", {"code/inference.py": _BROKEN}, _FRAMEWORK))
    with pytest.raises(ClientError) as raised:
        _invoke(hosting, "broken")
    assert raised.value.response["Error"]["Code"] == "ModelError"
    assert "no weights here" in raised.value.response["OriginalMessage"]
    hosting.delete("broken")


def test_one_of_many_models_is_fetched_when_it_is_asked_for(hosting: Hosting) -> None:
    for name in ("many-one", "many-two"):
        hosting.colour_model(name)
    hosting.sagemaker.create_model(
        ModelName="many",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={
            "Image": IMAGE,
            "Mode": "MultiModel",
            "ModelDataUrl": f"s3://{BUCKET}/",
        },
    )
    hosting.serve("many", "many")
    for name in ("many-one", "many-two", "many-one"):
        answer = _invoke(
            hosting,
            "many",
            TargetModel=f"{name}/model.tar.gz",
            ContentType="image/png",
            Body=picture_of("red"),
        )
        assert answer[0][0] > 0.9
    shared = hosting.service.settings.endpoints_dir / "many/1/models/AllTraffic/model"
    assert len(list(shared.iterdir())) == 2
    with pytest.raises(ClientError) as raised:
        _invoke(hosting, "many", TargetModel="nothing.tar.gz")
    assert raised.value.response["Error"]["Code"] == "ValidationError"
    hosting.delete("many")


def test_a_serverless_one_starts_when_it_is_asked(hosting: Hosting) -> None:
    hosting.serve(
        "serverless",
        hosting.colour_model("serverless"),
        variant={"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 2}},
    )
    assert hosting.ask("serverless")[1] > 0.9
    hosting.delete("serverless")
