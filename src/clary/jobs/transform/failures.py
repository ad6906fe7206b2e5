"""Why an object has no output, and whose fault that is."""

from __future__ import annotations

from typing import Literal

from clary.errors import ClaryError

Blame = Literal["ClientError", "AlgorithmError"]


class ObjectFailure(Exception):
    """An object could not be transformed; the others are.

    `blamed` is "ClientError" where the object or the request is to blame, "AlgorithmError" where
    the model is. `head` is what AWS's log says of it in short, such as `ClientError: 400`.
    """

    def __init__(self, blamed: Blame, sentence: str, head: str | None = None) -> None:
        super().__init__(sentence)
        self.blamed = blamed
        self.sentence = sentence
        self.head = head or f"{blamed}: {sentence}"


class ServerGone(ClaryError):
    """The model server has ended: nothing more is transformed."""
