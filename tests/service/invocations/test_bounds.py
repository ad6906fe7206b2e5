from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from clary.service.faults import Fault
from clary.service.invocations.invocations import Question
from tests.service.invocations.conftest import Stage, answering, one_variant
from tests.service.invocations.test_invoking import Serve
from tests.service.invocations.test_shadowing import until
from tests.service.invocations.tiny_replica import Asked, Said, TinyReplica


@pytest.fixture
def held(replica: Callable[..., TinyReplica]) -> Callable[[threading.Event], TinyReplica]:
    """A function that starts a replica which answers once it is released."""

    def start(released: threading.Event) -> TinyReplica:
        def answer(asked: Asked) -> Said:
            assert released.wait(60)
            return Said()

        return replica(answer)

    return start


def test_more_than_the_service_waits_for_are_refused_at_once(
    stage: Stage, held: Callable[[threading.Event], TinyReplica]
) -> None:
    released = threading.Event()
    slow = held(released)
    name = stage.endpoint([one_variant()], {"AllTraffic": [slow.port]})
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        answering(stage, listener, invoking_limit=1),
        ThreadPoolExecutor(1) as pool,
    ):
        client = stage.new_client("sagemaker-runtime", listener.getsockname()[1])
        waiting = pool.submit(client.invoke_endpoint, EndpointName=name, Body=b"x")
        try:
            until(lambda: len(slow.asked) == 1)
            with pytest.raises(ClientError) as raised:
                client.invoke_endpoint(EndpointName=name, Body=b"x")
        finally:
            released.set()
        assert raised.value.response["Error"]["Code"] == "ServiceUnavailable"
        assert raised.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
        assert waiting.result(60)["Body"].read() == b"[0.25,0.75]"
    assert len(slow.asked) == 1


def test_an_endpoint_that_does_not_answer_leaves_room_for_others(
    stage: Stage, held: Callable[[threading.Event], TinyReplica], serve: Serve
) -> None:
    """Asynchronous ones, which nobody waits for, among them."""
    released = threading.Event()
    slow = held(released)
    name = stage.endpoint([one_variant()], {"AllTraffic": [slow.port]})
    other, _ = serve()
    output = {"OutputConfig": {"S3OutputPath": "s3://bounds/out"}}
    later, _ = serve(AsyncInferenceConfig=output)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        answering(stage, listener, invoking_limit=4),
        ThreadPoolExecutor(4) as pool,
    ):
        client = stage.new_client("sagemaker-runtime", listener.getsockname()[1])
        waiting = [
            pool.submit(client.invoke_endpoint, EndpointName=name, Body=b"x") for _ in range(4)
        ]
        try:
            until(lambda: len(slow.asked) == 2 and sum(one.done() for one in waiting) == 2)
            for _ in range(3):
                answered = client.invoke_endpoint(EndpointName=other, Body=b"y")
                assert answered["Body"].read() == b"y"
            client.invoke_endpoint_async(EndpointName=later, Body=b"z")
            with pytest.raises(ClientError, match="of it are taken now"):
                client.invoke_endpoint(EndpointName=name, Body=b"x")
        finally:
            released.set()
        assert sum(one.exception(60) is None for one in waiting) == 2
    assert len(slow.asked) == 2


def test_what_a_model_works_on_is_given_up_when_the_service_ends(
    stage: Stage,
    held: Callable[[threading.Event], TinyReplica],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clary.service.invocations.invocations.GIVEN_UP_S", 0.2)
    released = threading.Event()
    slow = held(released)
    name = stage.endpoint([one_variant()], {"AllTraffic": [slow.port]})
    absent = stage.endpoint([one_variant()], {})
    invocations = stage.new_invocations()
    invocations.start()
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(invocations.ask, Question(one, b"x", "id")) for one in (name, absent)]
        until(lambda: len(slow.asked) == 1)
        invocations.release()
        faults = [one.exception(60) for one in asked]
    released.set()
    invocations.close()
    assert [fault.code for fault in faults if isinstance(fault, Fault)] == [
        "InternalFailure",
        "ServiceUnavailable",
    ]
