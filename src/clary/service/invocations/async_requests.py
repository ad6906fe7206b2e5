"""What is asked of an asynchronous invocation, and where its objects go."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.service.invocations.faults import invalid, too_large
from clary.service.state.async_invocations import AsyncRecord

DEFAULT_TTL_S = 6 * 3600
DEFAULT_TIMEOUT_S = 900
# What a request may bring along instead of an object.
BODY_LIMIT_BYTES = 128_000


@dataclass(frozen=True)
class Place:
    """An object of S3."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class AsyncRequest:
    """One asynchronous invocation: its input, a body or an object, and where its answer goes.

    `id` is Clary's, and another one each time; `inference_id` is the client's, if it gave one.
    """

    id: str
    input: Place | None
    body: bytes | None
    output: Place
    failure: Place | None
    timeout_s: int
    content_type: str
    accept: str
    custom_attributes: str
    inference_id: str

    @property
    def content(self) -> Mapping[str, Any]:
        """As it is stored: what JSON can hold."""
        return {
            "id": self.id,
            "input": None if self.input is None else vars(self.input),
            "body": None if self.body is None else base64.b64encode(self.body).decode("ascii"),
            "output": vars(self.output),
            "failure": None if self.failure is None else vars(self.failure),
            "timeout_s": self.timeout_s,
            "content_type": self.content_type,
            "accept": self.accept,
            "custom_attributes": self.custom_attributes,
            "inference_id": self.inference_id,
        }

    @classmethod
    def of(cls, record: AsyncRecord) -> AsyncRequest:
        """Read a stored one."""
        content = dict(record.request)
        for name in ("input", "output", "failure"):
            content[name] = None if content[name] is None else Place(**content[name])
        if content["body"] is not None:
            content["body"] = base64.b64decode(content["body"])
        return cls(**content)

    @classmethod
    def asked(cls, parameters: Mapping[str, Any], config: Mapping[str, Any]) -> AsyncRequest:
        """Read InvokeEndpointAsync.

        Args:
            parameters: of the call.
            config: the endpoint's AsyncInferenceConfig.

        Raises:
            Fault: it has neither a body nor an input, or both, or too large a body, or the input is
                no S3 URI.
        """
        location = parameters.get("InputLocation")
        body = parameters.get("Body") or None
        if body is not None and len(body) > BODY_LIMIT_BYTES:
            raise too_large(BODY_LIMIT_BYTES)
        if (location is None) == (body is None):
            raise invalid("Provide exactly one of InputLocation and Body.")
        identity = str(uuid.uuid4())
        name = parameters.get("Filename")
        stem = identity if name is None else name.rpartition(".")[0] or name
        extension = parameters.get("S3OutputPathExtension", "")
        answers = config["OutputConfig"]["S3OutputPath"]
        failures = config["OutputConfig"].get("S3FailurePath")
        return cls(
            id=identity,
            input=None if location is None else _place("InputLocation", location),
            body=body,
            output=_within(answers, extension, name or f"{identity}.out"),
            failure=(
                None if failures is None else _within(failures, extension, f"{stem}-error.out")
            ),
            timeout_s=parameters.get("InvocationTimeoutSeconds", DEFAULT_TIMEOUT_S),
            content_type=parameters.get("ContentType", ""),
            accept=parameters.get("Accept", ""),
            custom_attributes=parameters.get("CustomAttributes", ""),
            inference_id=parameters.get("InferenceId") or identity,
        )


def _within(prefix: str, extension: str, name: str) -> Place:
    place = _place("S3OutputPath", prefix)
    parts = [place.key.strip("/"), extension.strip("/"), name]
    return Place(place.bucket, "/".join(part for part in parts if part))


def _place(member: str, uri: str) -> Place:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise invalid(f"{member} is {uri!r}: give an S3 URI, s3://bucket/key")
    return Place(bucket, key)
