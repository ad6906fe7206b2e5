from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.errors import StorageError
from clary.service.invocations import backlog
from clary.service.state.async_invocations import RUNNING, AsyncRecord
from tests.service.invocations.conftest import Stage
from tests.service.invocations.test_invoking import Serve, refused
from tests.service.invocations.test_shadowing import until
from tests.service.invocations.tiny_replica import Asked, Said

CONFIG = {
    "OutputConfig": {"S3OutputPath": "s3://later/out", "S3FailurePath": "s3://later/failed/"},
    "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2},
}


@pytest.fixture(scope="module", autouse=True)
def bucket(stage: Stage) -> None:
    s3 = stage.client("s3")
    s3.create_bucket(Bucket="later")
    s3.put_object(Bucket="later", Key="in/picture.jpg", Body=b"a picture", ContentType="image/jpeg")
    s3.put_object(Bucket="later", Key="in/large", Body=b"large" * 1_000_000)


def invoke_later(stage: Stage, name: str, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = stage.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName=name, **options
    )
    return answer


def stored(stage: Stage, uri: str) -> tuple[bytes, str]:
    """An object, once it is there."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3 = stage.client("s3")

    def there() -> bool:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=key)
        return bool(listed["KeyCount"])

    until(there)
    found = s3.get_object(Bucket=bucket, Key=key)
    return found["Body"].read(), found["ContentType"]


def empty(stage: Stage, name: str) -> bool:
    return not [one for one in stage.state.async_invocations.open() if one.endpoint == name]


def test_an_answer_comes_into_s3(stage: Stage, serve: Serve) -> None:
    name, replica = serve(
        lambda asked: Said(200, asked.body.upper(), {"content-type": "text/plain"}),
        AsyncInferenceConfig=CONFIG,
    )
    answered = invoke_later(
        stage,
        name,
        InputLocation="s3://later/in/picture.jpg",
        ContentType="image/jpeg",
        Accept="text/plain",
        InvocationTimeoutSeconds=1200,
    )
    assert answered["ResponseMetadata"]["HTTPStatusCode"] == 202
    uuid.UUID(answered["InferenceId"])
    assert answered["OutputLocation"] == f"s3://later/out/{answered['InferenceId']}.out"
    assert answered["FailureLocation"] == f"s3://later/failed/{answered['InferenceId']}-error.out"
    assert stored(stage, answered["OutputLocation"]) == (b"A PICTURE", "text/plain")
    headers = replica.asked[0].headers
    assert headers["content-type"] == "image/jpeg"
    assert headers["x-clary-deadline-s"] == "1200.000"
    until(lambda: empty(stage, name))


def test_a_large_input_and_one_in_the_request(stage: Stage, serve: Serve) -> None:
    name, replica = serve(AsyncInferenceConfig=CONFIG)
    large = invoke_later(stage, name, InputLocation="s3://later/in/large")
    assert stored(stage, large["OutputLocation"])[0] == b"large" * 1_000_000
    small = invoke_later(stage, name, Body=b"\x00small", InferenceId="mine")
    assert small["InferenceId"] == "mine"
    assert stored(stage, small["OutputLocation"])[0] == b"\x00small"
    assert len(replica.asked) == 2


def test_an_input_is_what_its_object_is(stage: Stage, serve: Serve) -> None:
    """The SDK's AsyncPredictor says the type to S3 alone."""
    name, replica = serve(AsyncInferenceConfig=CONFIG)
    answered = invoke_later(stage, name, InputLocation="s3://later/in/picture.jpg")
    stored(stage, answered["OutputLocation"])
    assert replica.asked[0].headers["content-type"] == "image/jpeg"


def test_failures_have_their_own_place(stage: Stage, serve: Serve) -> None:
    name, _ = serve(lambda asked: Said(400, b"no picture"), AsyncInferenceConfig=CONFIG)
    failed = invoke_later(stage, name, InputLocation="s3://later/in/picture.jpg")
    text = stored(stage, failed["FailureLocation"])[0].decode()
    assert text.startswith('Received client error (400) from primary with message "no picture"')
    missing = invoke_later(stage, name, InputLocation="s3://later/in/nothing")
    assert b"nothing" in stored(stage, missing["FailureLocation"])[0]
    until(lambda: empty(stage, name))


def test_names_of_outputs_can_be_chosen(stage: Stage, serve: Serve) -> None:
    name, _ = serve(AsyncInferenceConfig=CONFIG)
    answered = invoke_later(
        stage, name, Body=b"x", Filename="mine.json", S3OutputPathExtension="deep/er"
    )
    assert answered["OutputLocation"] == "s3://later/out/deep/er/mine.json"
    assert answered["FailureLocation"] == "s3://later/failed/deep/er/mine-error.out"


def test_each_kind_of_endpoint_takes_only_its_own(stage: Stage, serve: Serve) -> None:
    later, _ = serve(AsyncInferenceConfig=CONFIG)
    assert "use InvokeEndpointAsync" in refused(stage, later)["Error"]["Message"]
    now, _ = serve()
    for options in ({"InputLocation": "s3://later/in/picture.jpg"},):
        with pytest.raises(ClientError, match="is not an asynchronous inference endpoint"):
            invoke_later(stage, now, **options)
    for options in (
        {},
        {"InputLocation": "s3://later/in/picture.jpg", "Body": b"x"},
        {"InputLocation": "https://example.com/x"},
        {"Body": b"x" * 128_001},
    ):
        with pytest.raises(ClientError) as raised:
            invoke_later(stage, later, **options)
        assert raised.value.response["Error"]["Code"] == "ValidationError"


def test_an_instance_works_on_as_many_as_it_may(stage: Stage, serve: Serve) -> None:
    released = threading.Event()
    inside, most = [], []

    def hold(asked: Asked) -> Said:
        inside.append(1)
        most.append(len(inside))
        assert released.wait(60)
        inside.pop()
        return Said()

    name, replica = serve(hold, AsyncInferenceConfig=CONFIG)
    answers = [invoke_later(stage, name, Body=b"x") for _ in range(5)]
    until(lambda: len(replica.asked) == 2)
    time.sleep(0.3)
    assert len(replica.asked) == 2
    released.set()
    for answered in answers:
        stored(stage, answered["OutputLocation"])
    assert max(most) <= 2


def test_what_finds_no_room_waits(stage: Stage, serve: Serve) -> None:
    refusals = iter(range(2))

    def answer(asked: Asked) -> Said:
        full = next(refusals, None) is not None
        return Said(503, b"", {"x-clary-not-accepted": "full"}) if full else Said()

    name, replica = serve(answer, AsyncInferenceConfig=CONFIG)
    answered = invoke_later(stage, name, Body=b"x")
    assert stored(stage, answered["OutputLocation"])[0] == b"[0.25,0.75]"
    assert len(replica.asked) == 3


def kept(stage: Stage, name: str, **changes: Any) -> AsyncRecord:
    """An invocation as a service that was killed leaves it."""
    record = stage.state.endpoints.find(name)
    assert record is not None
    identity = str(uuid.uuid4())
    now_ms = int(time.time() * 1000)
    content = {
        "id": identity,
        "input": {"bucket": "later", "key": "in/picture.jpg"},
        "body": None,
        "output": {"bucket": "later", "key": f"out/{identity}.out"},
        "failure": {"bucket": "later", "key": f"failed/{identity}-error.out"},
        "timeout_s": 900,
        "content_type": "",
        "accept": "",
        "custom_attributes": "",
        "inference_id": identity,
    }
    asked = AsyncRecord(identity, name, record.number, None, content, now_ms, now_ms + 60_000)
    return stage.state.async_invocations.add(replace(asked, **changes))


def test_a_new_service_takes_up_what_the_last_one_left(stage: Stage, serve: Serve) -> None:
    name, replica = serve(AsyncInferenceConfig=CONFIG)
    waiting, begun = kept(stage, name), kept(stage, name, status=RUNNING, attempts=1)
    expired = kept(stage, name, expires_ms=1)
    invocations = stage.new_invocations()
    invocations.start()
    try:
        for record in (waiting, begun):
            assert stored(stage, f"s3://later/out/{record.id}.out")[0] == b"a picture"
        told = stored(stage, f"s3://later/failed/{expired.id}-error.out")[0]
        assert b"expired" in told
        until(lambda: empty(stage, name))
    finally:
        invocations.close()
    assert len(replica.asked) == 2


def test_what_waits_for_a_deleted_endpoint_is_dropped(
    stage: Stage, serve: Serve, replica: Callable[..., Any]
) -> None:
    name, _ = serve(AsyncInferenceConfig=CONFIG)
    for record in stage.state.replicas.select(endpoint=stage.state.endpoints.find(name).number):
        stage.state.replicas.change(record.number, lambda one: replace(one, status="Ended"))
    invoke_later(stage, name, Body=b"x")
    assert not empty(stage, name)
    stage.state.forget_endpoint(name, f"/aws/sagemaker/Endpoints/{name}")
    until(lambda: empty(stage, name))


def test_what_gets_no_thread_waits_for_one(
    stage: Stage, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clary.service.invocations.asynchronous._AFTER_FAILURE_S", 0.05)
    refusals = iter(range(3))
    start = threading.Thread.start

    def start_seldom(thread: threading.Thread) -> None:
        if thread.name == "clary-async-invocation" and next(refusals, None) is not None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_seldom)
    name, replica = serve(AsyncInferenceConfig=CONFIG)
    answers = [invoke_later(stage, name, Body=b"x") for _ in range(4)]
    for answered in answers:
        stored(stage, answered["OutputLocation"])
    assert next(refusals, None) is None
    assert len(replica.asked) == 4


def test_what_has_expired_takes_no_threads(
    stage: Stage, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, replica = serve(AsyncInferenceConfig=CONFIG)
    for other in {one.endpoint for one in stage.state.async_invocations.open()}:
        stage.state.forget_endpoint(other, f"/aws/sagemaker/Endpoints/{other}")
    expired = [kept(stage, name, expires_ms=1) for _ in range(30)]
    started = []
    start = threading.Thread.start

    def start_noted(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_noted)
    invocations = stage.new_invocations()
    invocations.start()
    try:
        until(lambda: empty(stage, name))
    finally:
        invocations.close()
    assert "clary-async" in started
    assert "clary-async-invocation" not in started
    for record in (expired[0], expired[-1]):
        assert b"expired" in stored(stage, f"s3://later/failed/{record.id}-error.out")[0]
    assert not replica.asked


def test_an_endpoint_without_room_holds_up_no_other(
    stage: Stage, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it pauses."""
    monkeypatch.setattr("clary.service.invocations.asynchronous._AFTER_REFUSAL_S", 3600)
    refused_once = threading.Event()

    def refuse(asked: Asked) -> Said:
        refused_once.set()
        return Said(503, b"", {"x-clary-not-accepted": "full"})

    full, replica = serve(refuse, AsyncInferenceConfig=CONFIG)
    free, _ = serve(AsyncInferenceConfig=CONFIG)
    for number in range(10):
        invoke_later(stage, full, Body=b"x")
        assert refused_once.wait(60)
        answered = invoke_later(stage, free, Body=b"%d" % number)
        assert stored(stage, answered["OutputLocation"])[0] == b"%d" % number
    assert len(replica.asked) <= CONFIG["ClientConfig"]["MaxConcurrentInvocationsPerInstance"]
    assert not empty(stage, full)
    stage.state.forget_endpoint(full, f"/aws/sagemaker/Endpoints/{full}")


def test_what_a_replica_went_away_over_is_asked_of_another(stage: Stage, serve: Serve) -> None:
    name, replica = serve(
        lambda asked: Said(0) if len(replica.asked) < 3 else Said(), AsyncInferenceConfig=CONFIG
    )
    answered = invoke_later(stage, name, Body=b"x")
    assert stored(stage, answered["OutputLocation"])[0] == b"[0.25,0.75]"
    assert len(replica.asked) == 3
    gone, dying = serve(lambda asked: Said(0), AsyncInferenceConfig=CONFIG)
    failed = invoke_later(stage, gone, Body=b"x")
    assert b"model process exited" in stored(stage, failed["FailureLocation"])[0]
    assert len(dying.asked) == 3


def test_a_disk_that_is_full_loses_none(
    stage: Stage, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clary.service.invocations.asynchronous._AFTER_FAILURE_S", 0.05)
    failures = iter(range(3))
    put = stage.store.put

    def put_seldom(*args: Any, **options: Any) -> Any:
        if next(failures, None) is not None:
            raise StorageError("the disk is full")
        return put(*args, **options)

    monkeypatch.setattr(stage.store, "put", put_seldom)
    name, replica = serve(AsyncInferenceConfig=CONFIG)
    answered = invoke_later(stage, name, Body=b"x")
    assert stored(stage, answered["OutputLocation"])[0] == b"x"
    assert len(replica.asked) == 4
    listed = stage.client("s3").list_objects_v2(
        Bucket="later", Prefix=answered["FailureLocation"].partition("later/")[2]
    )
    assert listed["KeyCount"] == 0


def test_an_endpoint_takes_only_so_many(
    stage: Stage, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "WAITING_LIMIT_EACH", 2)
    name, _ = serve(AsyncInferenceConfig=CONFIG)
    for record in stage.state.replicas.select(endpoint=stage.state.endpoints.find(name).number):
        stage.state.replicas.change(record.number, lambda one: replace(one, status="Ended"))
    for _ in range(2):
        invoke_later(stage, name, Body=b"x")
    with pytest.raises(ClientError) as raised:
        invoke_later(stage, name, Body=b"x")
    assert raised.value.response["Error"]["Code"] == "ServiceUnavailable"
    stage.state.forget_endpoint(name, f"/aws/sagemaker/Endpoints/{name}")
