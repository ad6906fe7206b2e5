"""Requests on connections that break."""

from __future__ import annotations

import socket
import threading

import pytest

from clary.formats.replica import Listening
from clary.formats.transform_plan import TransformPlan
from clary.jobs.transform.failures import ObjectFailure
from clary.jobs.transform.model_client import ModelClient

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood"


def client_of(answers: list[int]) -> ModelClient:
    """A client of a server that lets go of each connection after so many answers."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener:
            for count in answers:
                connection, _ = listener.accept()
                with connection:
                    for _ in range(count):
                        request = b""
                        while not request.endswith(b"body"):
                            request += connection.recv(1000)
                        connection.sendall(ANSWER)

    threading.Thread(target=serve, daemon=True).start()
    listening = Listening(address="127.0.0.1", port=listener.getsockname()[1], since_ms=0)
    return ModelClient(listening, TransformPlan(job="job", retries=0), lambda: True)


def test_a_kept_connection_that_has_died_is_no_failure_of_the_model() -> None:
    client = client_of([2, 1, 1])
    assert [client.invoke(b"body") for _ in range(4)] == [b"good"] * 4


@pytest.mark.parametrize("answers", [[0, 1], [1, 0, 1]])
def test_a_new_connection_that_dies_is_one(answers: list[int]) -> None:
    client = client_of(answers)
    for _ in range(answers[0]):
        assert client.invoke(b"body") == b"good"
    with pytest.raises(ObjectFailure, match="has not answered"):
        client.invoke(b"body")
