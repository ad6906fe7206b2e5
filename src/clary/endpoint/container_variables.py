"""What the variables of SageMaker's containers say about serving, as settings of a replica.

    workers           SAGEMAKER_MODEL_SERVER_WORKERS, TS_DEFAULT_WORKERS_PER_MODEL
    deadline_s        SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS, SAGEMAKER_MODEL_SERVER_TIMEOUT,
                      SAGEMAKER_TS_RESPONSE_TIMEOUT, TS_DEFAULT_RESPONSE_TIMEOUT
    max_body_bytes    SAGEMAKER_MAX_PAYLOAD_IN_MB, TS_MAX_REQUEST_SIZE (bytes)
    waiting           TS_JOB_QUEUE_SIZE
    multi_model       SAGEMAKER_MULTI_MODEL
    max_pixels        CLARY_MAX_PIXELS
    private_urls      CLARY_ALLOW_PRIVATE_URLS, and with it `allow_urls`

The first that is set counts. Those about ports and batches say nothing here: a replica has a port
of its own, and a script gets one request at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from clary.errors import UsageError
from clary.formats.replica import ReplicaSettings

_WORKERS = ("SAGEMAKER_MODEL_SERVER_WORKERS", "TS_DEFAULT_WORKERS_PER_MODEL")
_DEADLINE = (
    "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS",
    "SAGEMAKER_MODEL_SERVER_TIMEOUT",
    "SAGEMAKER_TS_RESPONSE_TIMEOUT",
    "TS_DEFAULT_RESPONSE_TIMEOUT",
)
_MEBIBYTES = "SAGEMAKER_MAX_PAYLOAD_IN_MB"
_BYTES = "TS_MAX_REQUEST_SIZE"
_WAITING = "TS_JOB_QUEUE_SIZE"
_MULTI_MODEL = "SAGEMAKER_MULTI_MODEL"
_PIXELS = "CLARY_MAX_PIXELS"
_PRIVATE_URLS = "CLARY_ALLOW_PRIVATE_URLS"


def with_variables(settings: ReplicaSettings, environment: Mapping[str, str]) -> ReplicaSettings:
    """The settings with what the variables of a container change; what they do not stays.

    Raises:
        UsageError: the value of a variable is none that it can have.
    """
    told: dict[str, Any] = {}
    sources: dict[str, str] = {}

    def take(field: str, names: tuple[str, ...], factor: int = 1) -> None:
        name = next((name for name in names if environment.get(name, "").strip()), None)
        if name is not None and field not in told:
            told[field] = _number(name, environment[name]) * factor
            sources[field] = name

    take("workers", _WORKERS)
    take("deadline_s", _DEADLINE)
    take("max_body_bytes", (_MEBIBYTES,), 1 << 20)
    take("max_body_bytes", (_BYTES,))
    take("waiting", (_WAITING,))
    take("max_pixels", (_PIXELS,))
    if environment.get(_MULTI_MODEL, "").strip().lower() == "true":
        told["multi_model"] = True
    if environment.get(_PRIVATE_URLS, "").strip().lower() in {"1", "true"}:
        told |= {"allow_urls": True, "private_urls": True}
    try:
        return ReplicaSettings.model_validate(settings.model_dump() | told)
    except ValidationError as error:
        first = error.errors()[0]
        name = sources.get(str(first["loc"][0]), str(first["loc"][0]))
        raise UsageError(
            f"{name} is {environment.get(name)!r}, which cannot be: {first['msg']}"
        ) from error


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise UsageError(f"{name} is {value!r}: give it a whole number") from error
