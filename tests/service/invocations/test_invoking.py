from __future__ import annotations

import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.service.invocations.conftest import Stage, one_variant
from tests.service.invocations.tiny_replica import Asked, Said, TinyReplica

Serve = Callable[..., tuple[str, TinyReplica]]


def invoke(stage: Stage, name: str, body: bytes = b"x", **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = stage.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=name, Body=body, **options
    )
    return answer


def refused(stage: Stage, name: str, body: bytes = b"x", **options: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as raised:
        invoke(stage, name, body, **options)
    response: dict[str, Any] = raised.value.response
    return response


def test_an_answer_comes_back_as_the_model_gave_it(stage: Stage, serve: Serve) -> None:
    def answer(asked: Asked) -> Said:
        headers = {"content-type": "text/csv", "x-amzn-sagemaker-custom-attributes": "trace=7"}
        return Said(200, b"0.5,\xff", headers)

    name, replica = serve(answer)
    answered = invoke(
        stage,
        name,
        b"\x00\xff\r\n",
        ContentType="image/jpeg",
        Accept="text/csv",
        CustomAttributes="who=me",
        InferenceId="one of mine",
    )
    assert answered["Body"].read() == b"0.5,\xff"
    assert answered["ContentType"] == "text/csv"
    assert answered["InvokedProductionVariant"] == "AllTraffic"
    assert answered["CustomAttributes"] == "trace=7"
    [asked] = replica.asked
    assert asked.path == "/invocations"
    assert asked.body == b"\x00\xff\r\n"
    told = {name: value for name, value in asked.headers.items() if name != "x-request-id"}
    [meant] = [one for one in stage.state.replicas.select() if one.port == replica.port]
    assert told == {
        "host": "localhost",
        "content-length": "4",
        "content-type": "image/jpeg",
        "accept": "text/csv",
        "x-amzn-sagemaker-custom-attributes": "who=me",
        "x-amzn-sagemaker-inference-id": "one of mine",
        "x-clary-instance": meant.instance,
    }
    assert asked.headers["x-request-id"] == answered["ResponseMetadata"]["RequestId"]


def test_the_old_name_of_the_client_works(stage: Stage, serve: Serve) -> None:
    name, _ = serve()
    answered = stage.client("runtime.sagemaker").invoke_endpoint(EndpointName=name, Body=b"body")
    assert answered["Body"].read() == b"body"


def test_a_body_of_no_type_is_bytes(stage: Stage, serve: Serve) -> None:
    name, replica = serve()
    invoke(stage, name)
    assert replica.asked[0].headers["content-type"] == "application/octet-stream"


def test_bodies_go_up_to_six_mebibytes(stage: Stage, serve: Serve) -> None:
    name, replica = serve()
    body = b"b" * 6_291_456
    assert invoke(stage, name, body)["Body"].read() == body
    response = refused(stage, name, body + b"b")
    assert response["Error"]["Code"] == "ValidationError"
    assert response["Error"]["Message"] == (
        "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must "
        "have length less than or equal to 6291456"
    )
    assert len(replica.asked) == 1


def test_a_model_may_take_larger_bodies(stage: Stage, serve: Serve) -> None:
    name, _ = serve(model={"Environment": {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "7"}})
    body = b"b" * (7 << 20)
    assert invoke(stage, name, body)["Body"].read() == body
    assert "equal to 7340032" in refused(stage, name, body + b"b")["Error"]["Message"]


def test_endpoints_that_do_not_answer(stage: Stage) -> None:
    unknown = refused(stage, "nobody")
    assert unknown["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint nobody of account 000000000000 not found.",
    }
    creating = stage.endpoint([one_variant()], {}, status="Creating")
    message = refused(stage, creating)["Error"]["Message"]
    assert message.startswith(f"Endpoint {creating} of account 000000000000 not found")
    assert "Creating" in message


@pytest.mark.parametrize(
    ("status", "side"), [(400, "client"), (415, "client"), (500, "server"), (503, "server")]
)
def test_a_models_error_is_told_in_aws_words(
    stage: Stage, serve: Serve, status: int, side: str
) -> None:
    name, replica = serve(lambda asked: Said(status, b'{"message":"no \xc3\xa4pple"}'))
    response = refused(stage, name)
    region = stage.credentials.region
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["Error"]["Code"] == "ModelError"
    assert response["Error"]["Message"] == (
        f'Received {side} error ({status}) from primary with message "{{"message":"no äpple"}}". '
        f"See https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
        f"#logEventViewer:group=/aws/sagemaker/Endpoints/{name} in account 000000000000 for more "
        "information."
    )
    assert response["OriginalStatusCode"] == status
    assert response["OriginalMessage"] == '{"message":"no äpple"}'
    assert response["LogStreamArn"] == (
        f"arn:aws:logs:{region}:000000000000:log-group:/aws/sagemaker/Endpoints/{name}"
    )
    assert len(replica.asked) == 1


def test_a_long_traceback_keeps_its_ends(stage: Stage, serve: Serve) -> None:
    said = b"Traceback" + b"." * 5000 + b"KeyError: 'x'"
    name, _ = serve(lambda asked: Said(500, said))
    response = refused(stage, name)
    for message in (response["Error"]["Message"], response["OriginalMessage"]):
        assert len(message) == 2048
        assert "Traceback" in message
        assert "KeyError: 'x'" in message


def test_a_replica_that_gives_up_at_its_deadline(stage: Stage, serve: Serve) -> None:
    name, _ = serve(lambda asked: Said(504, b"late", {"x-clary-timed-out": "1"}))
    response = refused(stage, name)
    assert response["Error"]["Code"] == "ModelError"
    assert response["OriginalStatusCode"] == 0
    assert response["OriginalMessage"].startswith("Your invocation timed out")


@pytest.mark.parametrize(
    "member", ["TargetContainerHostname", "EnableExplanations", "InferenceComponentName"]
)
def test_what_is_not_offered_is_refused_by_name(stage: Stage, serve: Serve, member: str) -> None:
    name, replica = serve()
    response = refused(stage, name, **{member: "something"})
    assert response["Error"]["Code"] == "ValidationError"
    assert response["Error"]["Message"] == f"{member} is not offered by Clary."
    assert not replica.asked


def test_a_variant_can_be_chosen(stage: Stage, replica: Callable[..., TinyReplica]) -> None:
    one, two = replica(), replica()
    name = stage.endpoint(
        [one_variant("one", 1.0), one_variant("two", 0.0)],
        {"one": [one.port], "two": [two.port]},
    )
    assert invoke(stage, name, TargetVariant="two")["InvokedProductionVariant"] == "two"
    for _ in range(5):  # the other one has no weight
        assert invoke(stage, name)["InvokedProductionVariant"] == "one"
    assert (len(one.asked), len(two.asked)) == (5, 1)
    message = refused(stage, name, TargetVariant="three")["Error"]["Message"]
    assert message == "Variant three not found for Request"


@pytest.mark.parametrize("listed", [False, True])
def test_models_of_an_endpoint_of_many(stage: Stage, serve: Serve, listed: bool) -> None:
    name, replica = serve(model={"Mode": "MultiModel"}, listed=listed)
    stage.models[name, "AllTraffic", "dogs/small.tar.gz"] = "small-1"
    invoke(stage, name, TargetModel="dogs/small.tar.gz")
    headers = replica.asked[0].headers
    assert headers["x-clary-model"] == "small-1"
    assert headers["x-amzn-sagemaker-target-model"] == "dogs/small.tar.gz"
    missing = refused(stage, name, TargetModel="cats.tar.gz")["Error"]
    assert missing["Code"] == "ValidationError"
    assert "Failed to download model data" in missing["Message"]
    stage.models[name, "AllTraffic", "large.tar.gz"] = None
    late = refused(stage, name, TargetModel="large.tar.gz")
    assert late["Error"]["Code"] == "ModelNotReadyException"
    assert late["ResponseMetadata"]["HTTPStatusCode"] == 429
    nameless = refused(stage, name)["Error"]["Message"]
    assert "is missing a target model header" in nameless
    assert len(replica.asked) == 1


def test_a_target_model_needs_an_endpoint_of_many(stage: Stage, serve: Serve) -> None:
    name, _ = serve()
    assert refused(stage, name, TargetModel="m.tar.gz")["Error"]["Message"] == (
        f"Endpoint {name} is not a multi-model endpoint and does not support target model header."
    )


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_an_answer_as_a_stream(stage: Stage, serve: Serve, size: int) -> None:
    name, _ = serve()
    answered = stage.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName=name, Body=b"s" * size, ContentType="text/plain", Accept="text/plain"
    )
    assert answered["ContentType"] == "text/plain"
    parts = [event["PayloadPart"]["Bytes"] for event in answered["Body"]]
    assert b"".join(parts) == b"s" * size


def test_an_id_need_not_be_ascii(stage: Stage, serve: Serve) -> None:
    name, replica = serve()
    try:
        invoke(stage, name, InferenceId="猫-7")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ValidationError"
        assert not replica.asked
    else:
        assert replica.asked


def test_unsigned_requests_are_not_let_in(stage: Stage, serve: Serve) -> None:
    name, replica = serve()
    url = f"http://127.0.0.1:{stage.port}/endpoints/{name}/invocations"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(url, b"x", method="POST"))
    assert not replica.asked
