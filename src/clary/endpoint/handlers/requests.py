"""What a worker is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """An invocation, as a worker gets it; `model` is a folder."""

    body: bytes
    model: str
    content_type: str = ""
    accept: str = ""
    request_id: str = ""
    custom_attributes: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer, and how long it took, in microseconds."""

    status: int
    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    model_us: int = 0
