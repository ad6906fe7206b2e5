"""One request to the model, tried again where that may help."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from clary.formats.replica import Listening
from clary.formats.transform_plan import TransformPlan
from clary.jobs.transform.failures import ObjectFailure, ServerGone

# What a body is where neither the job nor anybody else has said.
_UNKNOWN = "application/octet-stream"
_BUSY = {429, 503}
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
# The server keeps the deadline; this is for one that has stopped answering altogether.
_SLACK_S = 10.0
_SENTENCE_LIMIT = 500


class _NoAnswer(Exception):
    """The connection broke, or time ran out."""


class ModelClient:
    """Asks the model server. Thread-safe: every thread has a connection of its own.

    Args:
        listening: where the server is.
        plan: content types, how long a request may take, and how often it is tried again.
        lives: whether the server runs.
    """

    def __init__(
        self, listening: Listening, plan: TransformPlan, lives: Callable[[], bool]
    ) -> None:
        self._listening = listening
        self._plan = plan
        self._lives = lives
        self._own = threading.local()
        self._headers = {"content-type": plan.content_type or _UNKNOWN}
        if plan.accept:
            self._headers["accept"] = plan.accept

    def invoke(self, body: bytes) -> bytes:
        """The model's answer.

        A server that is busy is asked again as long as a request may take; one that fails, as
        often as the plan allows.

        Raises:
            ObjectFailure: the model has refused the request, or failed each time.
            ServerGone: the server has ended.
        """
        begun = time.monotonic()
        tries, pause_s = 0, _FIRST_PAUSE_S
        while True:
            failure = busy = None
            try:
                status, answer = self._ask(body)
            except _NoAnswer as error:
                failure = ObjectFailure("AlgorithmError", f"the model has not answered: {error}")
            else:
                if status == http.client.OK:
                    return answer
                failure = _failure(status, answer)
                busy = status in _BUSY
            if not self._lives():
                raise ServerGone("the model server has ended while it was asked")
            if busy:
                if time.monotonic() - begun > self._plan.timeout_s:
                    raise failure
            elif failure.blamed == "ClientError" or tries >= self._plan.retries:
                raise failure
            else:
                tries += 1
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _ask(self, body: bytes) -> tuple[int, bytes]:
        kept = getattr(self._own, "connection", None) is not None
        try:
            return self._ask_once(body)
        except _NoAnswer as error:
            # A server that was started again has let go of it, and not seen this request.
            if not (kept and isinstance(error.__cause__, ConnectionError)):
                raise
        return self._ask_once(body)

    def _ask_once(self, body: bytes) -> tuple[int, bytes]:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = http.client.HTTPConnection(
                self._listening.address,
                self._listening.port,
                timeout=self._plan.timeout_s + _SLACK_S,
            )
        try:
            connection.request("POST", "/invocations", body, self._headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            with suppress(OSError):
                connection.close()
            self._own.connection = None
            raise _NoAnswer(f"{type(error).__name__}: {error}") from error


def _failure(status: int, answer: bytes) -> ObjectFailure:
    sentence = _sentence(answer)
    if 400 <= status < 500 and status not in _BUSY:
        return ObjectFailure(
            "ClientError",
            f"the model has refused a request with status {status}: {sentence}",
            f"ClientError: {status}",
        )
    return ObjectFailure(
        "AlgorithmError",
        f"the model has failed with status {status}: {sentence}",
        f"Bad HTTP status received from algorithm: {status}",
    )


def _sentence(answer: bytes) -> str:
    """What the server says of the reason, in one line; the end of it, where it is a traceback."""
    text = answer.decode("utf-8", "replace").strip()
    with suppress(ValueError, TypeError, KeyError):
        text = str(json.loads(text)["message"]).strip()
    return " ".join(text.split())[-_SENTENCE_LIMIT:] or "no reason is given"
