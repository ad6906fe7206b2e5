"""A request to a model, and the one answer that it gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Invocation:
    """What is asked of a model.

    `accept` is empty where the client did not say. `model` is the folder of the model that is
    meant, where a server has several. `deadline` is when the answer is of no use any more, by
    `time.monotonic()`.
    """

    body: bytes
    content_type: str
    accept: str
    deadline: float
    model: str | None = None
    request_id: str = ""
    custom_attributes: str = ""


@dataclass(frozen=True)
class Reply:
    """The answer: an HTTP status, a body, and what goes with it.

    `model_us` is how long the model took, in microseconds, without the time in the queue.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    model_us: int = 0


class Refusal(Exception):
    """An invocation that is answered with an error: `status`, and a sentence that says why.

    4xx where the request is to blame, 500 where the model is, 503 where it may be tried again.
    """

    def __init__(self, status: int, sentence: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.retry_after_s = retry_after_s
