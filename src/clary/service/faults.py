"""The errors that clients see, in AWS's words and with AWS's codes.

A handler raises one; `clary.service.protocol` writes it in the protocol of the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Fault(Exception):
    """An answer that is an error.

    `code` and `message` are AWS's, `status` is the HTTP status. `members` are further members of
    the error shape (S3's `Key`, `BucketName`), `headers` are sent with it.
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int = 400,
        *,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})
        self.headers = dict(headers or {})


# SageMaker ----------------------------------------------------------------------------------


def validation(message: str) -> Fault:
    """A request that the model allows and the service does not."""
    return Fault("ValidationException", message)


def constraint_violations(violations: Sequence[str]) -> Fault:
    """All violations of a request's constraints at once, as AWS words them."""
    count = len(violations)
    noun = "error" if count == 1 else "errors"
    return validation(f"{count} validation {noun} detected: " + "; ".join(violations))


def not_found(what: str = "Requested resource not found.") -> Fault:
    """A SageMaker resource that is not there: a ValidationException, boto's waiters count on it."""
    return validation(what)


def no_such_job(name: str) -> Fault:
    """A processing or transform job that is not there."""
    return not_found(f"Could not find requested job with name: {name}")


def not_to_be_stopped(kind: str, status: str) -> Fault:
    """A job that has ended, or otherwise cannot be stopped; `kind` is such as "training job"."""
    return validation(f"The request was rejected because the {kind} is in status {status}.")


def resource_in_use(message: str) -> Fault:
    """A name that is taken, or a state that forbids the change."""
    return Fault("ResourceInUse", message)


# CloudWatch Logs ----------------------------------------------------------------------------


def log_resource_not_found(kind: str) -> Fault:
    """`kind` is "log group" or "log stream"."""
    return Fault("ResourceNotFoundException", f"The specified {kind} does not exist.")


def log_resource_exists(kind: str) -> Fault:
    """`kind` is "log group" or "log stream"."""
    return Fault("ResourceAlreadyExistsException", f"The specified {kind} already exists")


# Every service ------------------------------------------------------------------------------


def internal_failure(request_id: str) -> Fault:
    """A bug of Clary's; its traceback is in the service's log under the request id."""
    return Fault(
        "InternalFailure",
        f"Clary failed on this request ({request_id}): `clary logs` shows why.",
        500,
    )
