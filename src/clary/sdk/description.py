"""What SageMaker's descriptions of jobs and endpoints have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from botocore.exceptions import ClientError

from clary.errors import UsageError

_MISSING_CODE = "ResourceNotFound"
# Where it is said in words alone; nor can there be anything of a name that nothing may have.
_MISSING_WORDS = re.compile("not found|Could not find|failed to satisfy constraint")


@dataclass(frozen=True)
class Description:
    """What the service said about something that takes its time; `raw` is all of it."""

    raw: Mapping[str, Any]

    @property
    def failure_reason(self) -> str | None:
        """Why it failed, or why an endpoint's last change was taken back; None when neither."""
        reason = self.raw.get("FailureReason")
        return str(reason) if reason else None

    @property
    def created(self) -> datetime:
        """When it was asked for."""
        moment: datetime = self.raw["CreationTime"]
        return moment


class Described(Protocol):
    """Something of a name that can be asked about, such as a training job."""

    def description(self) -> Description:
        """How it stands.

        Raises:
            UsageError: there is no such thing.
            ServiceError: the service refuses or does not answer.
        """
        ...


Named = TypeVar("Named", bound=Described)


def existing(named: Named) -> Named | None:
    """The same where there is such a thing, None where there is none.

    Raises:
        ServiceError: the service refuses or does not answer.
    """
    try:
        named.description()
    except UsageError:
        return None
    return named


def is_missing(error: ClientError) -> bool:
    """Whether a fault of SageMaker's says that there is nothing of the name that was asked for."""
    fault = error.response.get("Error", {})
    said = str(fault.get("Message", ""))
    return fault.get("Code") == _MISSING_CODE or _MISSING_WORDS.search(said) is not None
