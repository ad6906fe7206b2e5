"""What a refused call says, in one piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError


@dataclass(frozen=True)
class Refusal:
    code: str
    message: str
    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]


def refused(call: Callable[[], Any]) -> Refusal:
    """Make a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call()
    answer = caught.value.response
    about = answer["ResponseMetadata"]
    error = answer["Error"]
    return Refusal(
        error["Code"],
        error["Message"],
        about["HTTPStatusCode"],
        error,
        about["HTTPHeaders"],
    )
