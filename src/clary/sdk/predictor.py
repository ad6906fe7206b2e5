"""Asks an endpoint what is on pictures.

    predictor = Predictor("photos")
    print(predictor.predict("new.jpg").label)
    for prediction in predictor.predict_many(folder.iterdir()):
        print(prediction.name, prediction.label, prediction.probability)

The same against Clary and AWS. Thread-safe.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from botocore.exceptions import ClientError

from clary.errors import DataError, ServiceError
from clary.formats.picture_inputs import content_type_of
from clary.formats.prediction import Prediction
from clary.sdk.endpoint import Endpoint
from clary.sdk.session import Session, spoken_faults

NAMED_JSON = "application/json;verbose=true"
JSON = "application/json"
NPY = "application/x-npy"
# What a service of this machine has to do at once, so that none of its cores waits.
AT_ONCE = 8
_BODY = "the body "
# How far a sum of probabilities may be from 1: those of bf16 networks are rounded.
_SUM_TOLERANCE = 0.02
# AWS's words, and so the service's.
_TOO_LARGE = re.compile(r"'body' failed to satisfy.*less than or equal to (\d+)")
_NOT_IN_SERVICE = re.compile(r"its status is (\w+)")

# A path, the bytes of a picture file, a uint8 array of shape (height, width, 3), or a PIL image.
Picture: TypeAlias = Any


@dataclass(frozen=True)
class Named:
    """A picture with a name of its own; `content` may be why there is none."""

    name: str
    content: Picture


@dataclass(frozen=True)
class Answer:
    """What an endpoint has answered, and which variant of it."""

    body: bytes
    content_type: str
    variant: str = ""
    custom_attributes: str = ""


class PictureRefused(DataError):
    """An endpoint has refused a picture."""


class Predictor:
    """An endpoint that is asked.

    Args:
        endpoint: its name.
        session: of the account; this machine's Clary when None.
        variant: asks this one; the endpoint chooses by weight when None.
        model: with several models in the endpoint, the archive that is meant.
    """

    def __init__(
        self,
        endpoint: str,
        session: Session | None = None,
        *,
        variant: str | None = None,
        model: str | None = None,
    ) -> None:
        self.endpoint = Endpoint(session or Session.on_this_machine(), endpoint)
        self.variant = variant
        self.model = model
        self._accept: str | None = None

    def predict(self, picture: Picture, top: int | None = None) -> Prediction:
        """Classify a picture.

        Args:
            picture: a path, the bytes of a picture file, a uint8 array of shape
                (height, width, 3), or a PIL image.
            top: how many classes to rank; all by default.

        Returns:
            Classes with their probabilities, the most probable first. Where the model is a script
            that answers with numbers alone, or one of the endpoint's variants is such a script and
            none is chosen, a class is its position as text; numbers that are no probabilities go
            through a softmax.

        Raises:
            DataError: the picture cannot be read, or the endpoint refuses it.
            UsageError: there is no such endpoint.
            ServiceError: the service refuses or does not answer, or the answer is no list of
                numbers.
        """
        name, content = _named(picture, "the picture")
        body, content_type = _encoded(content, name)
        answer = self.invoke(body, content_type, accept=self._asked_for())
        return Prediction(name, ranked(answer, top))

    def predict_many(
        self, pictures: Iterable[Picture], top: int | None = None, *, at_once: int = AT_ONCE
    ) -> Iterator[Prediction]:
        """Classify pictures in their order, some at once; one that cannot be read says why.

        Args:
            pictures: as for `predict`, or `Named`.
            top: how many classes to rank; all by default.
            at_once: how many are under way.

        Raises:
            UsageError: there is no such endpoint.
            ServiceError: the service refuses or does not answer.
        """
        self._asked_for()
        with ThreadPoolExecutor(at_once, "clary-invoke") as threads:
            pending: deque[Future[Prediction]] = deque()
            try:
                for number, picture in enumerate(pictures):
                    name, content = _named(picture, f"picture {number}")
                    pending.append(threads.submit(self._tried, name, content, top))
                    if len(pending) == 2 * at_once:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def invoke(
        self,
        body: bytes,
        content_type: str,
        *,
        accept: str | None = None,
        custom_attributes: str | None = None,
        inference_id: str | None = None,
    ) -> Answer:
        """Send a body as it is.

        Args:
            body: at most 6 MiB.
            content_type: what it is.
            accept: what the answer shall be; the endpoint chooses when None.
            custom_attributes: handed on to the model.
            inference_id: written beside what is captured.

        Raises:
            PictureRefused: the model finds fault with the body.
            ServiceError: the service or the model fails, or does not answer.
        """
        optional = {
            "Accept": accept,
            "CustomAttributes": custom_attributes,
            "InferenceId": inference_id,
            "TargetVariant": self.variant,
            "TargetModel": self.model,
        }
        given = {key: value for key, value in optional.items() if value is not None}
        with spoken_faults():
            try:
                answer = self.endpoint.session.client("sagemaker-runtime").invoke_endpoint(
                    EndpointName=self.endpoint.name, Body=body, ContentType=content_type, **given
                )
                content = answer["Body"].read()
            except ClientError as error:
                failure = _failure(error, self.endpoint.name, len(body))
                if failure is None:
                    raise
                raise failure from error
        return Answer(
            content,
            answer.get("ContentType", ""),
            answer.get("InvokedProductionVariant", ""),
            answer.get("CustomAttributes", ""),
        )

    def _tried(self, name: str, content: Picture, top: int | None) -> Prediction:
        try:
            return self.predict(Named(name, content), top)
        except PictureRefused as error:
            reason = str(error)
            if reason.startswith(_BODY):  # the replica's word: it knows no names
                return Prediction(name, error=f"{name} {reason.removeprefix(_BODY)}")
            return Prediction(name, error=f"{name} is refused: {reason}")
        except DataError as error:
            return Prediction(name, error=str(error))

    def _asked_for(self) -> str:
        """A model of Clary's names its classes when asked to; scripts know their own types."""
        if self._accept is None:
            found = self.endpoint.description()
            asked = [one for one in found.variants if one.name == self.variant]
            builtin = asked[0].is_builtin if asked else found.is_builtin
            self._accept = NAMED_JSON if builtin else JSON
        return self._accept


def ranked(answer: Answer, top: int | None = None) -> tuple[tuple[str, float], ...]:
    """The classes of an answer about one picture, the most probable first.

    Args:
        answer: `[[p, …]]`, `[p, …]`, or `{"predictions": [{"probabilities": {class: p}}]}`.
        top: how many classes; all by default.

    Raises:
        ServiceError: it is none of these.
    """
    try:
        content = json.loads(answer.body)
        if isinstance(content, dict):
            content = content["predictions"]
        row = content[0] if isinstance(content[0], (list, dict)) else content
        if isinstance(row, dict):
            named = row.get("probabilities") or {row["label"]: row["probability"]}
            pairs = [(str(label), float(value)) for label, value in named.items()]
        else:
            pairs = [(str(k), value) for k, value in enumerate(_probabilities(row))]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        said = answer.body[:80].decode("utf-8", "replace")
        raise ServiceError(
            f"the endpoint answers {said!r}, which is no list of probabilities: read it yourself, "
            "as `clary endpoints invoke` shows it"
        ) from error
    return tuple(sorted(pairs, key=lambda pair: -pair[1])[:top])


def _probabilities(row: list[Any]) -> list[float]:
    """A row as it is where it is a distribution, else its softmax: of logits, or of logarithms of
    probabilities, which it gives back.
    """
    values = [float(value) for value in row]
    if not values:
        raise ValueError("an empty row")
    if min(values) >= 0 and abs(sum(values) - 1) <= _SUM_TOLERANCE:
        return values
    largest = max(values)
    parts = [math.exp(value - largest) for value in values]
    return [part / sum(parts) for part in parts]


def _named(picture: Picture, otherwise: str) -> tuple[str, Picture]:
    if isinstance(picture, Named):
        return picture.name, picture.content
    return (str(picture) if isinstance(picture, (str, Path)) else otherwise), picture


def _encoded(picture: Picture, name: str) -> tuple[bytes, str]:
    """The body that stands for a picture, and what it is."""
    if isinstance(picture, DataError):
        raise picture
    if isinstance(picture, (str, Path)):
        try:
            picture = Path(picture).expanduser().read_bytes()
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error.strerror or error}") from error
    if isinstance(picture, (bytes, bytearray, memoryview)):
        content = bytes(picture)
        return content, content_type_of(content)
    written = io.BytesIO()
    if callable(getattr(picture, "save", None)):
        picture.save(written, format="PNG", compress_level=1)
        return written.getvalue(), "image/png"
    import numpy as np

    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise DataError(
            f"{name} is an array of {array.dtype} and shape {array.shape}: "
            "give uint8 of shape (height, width, 3)"
        )
    np.save(written, np.ascontiguousarray(array), allow_pickle=False)
    return written.getvalue(), NPY


def _failure(error: ClientError, endpoint: str, size: int) -> PictureRefused | ServiceError | None:
    """Whose fault an error is: the picture's, or the model's; None for any other error."""
    status = error.response.get("OriginalStatusCode")
    if status is None:
        message = str(error.response["Error"].get("Message", ""))
        state = _NOT_IN_SERVICE.search(message)
        if state is not None:
            return ServiceError(
                f"the endpoint {endpoint} is {state[1]} and answers nobody: "
                f"`clary endpoints show {endpoint}` tells when it is in service"
            )
        bound = _TOO_LARGE.search(message)
        if bound is None:
            return None
        return PictureRefused(
            f"{size:,} bytes are sent, but {endpoint} takes {int(bound[1]):,}: make the picture "
            "smaller"
        )
    reason = _reason(str(error.response.get("OriginalMessage") or ""))
    if 400 <= status < 500:
        return PictureRefused(reason or f"the model refuses it with status {status}")
    return ServiceError(
        f"the model of {endpoint} failed with status {status}: {reason or 'it does not say why'} "
        f"(`clary endpoints logs {endpoint}` shows more)"
    )


def _reason(message: str) -> str:
    """The sentence in a server's error, or the last line of a traceback."""
    try:
        content = json.loads(message)
    except ValueError:
        lines = message.strip().splitlines()
        return lines[-1] if lines else ""
    told = content.get("message") if isinstance(content, dict) else None
    return str(told) if told else message
