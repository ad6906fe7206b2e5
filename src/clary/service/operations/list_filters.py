"""The filters that SageMaker's lists have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from clary.service.operations.times import milliseconds


class Listed(Protocol):
    """What lists show. Times are milliseconds since 1970."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def created_ms(self) -> int:
        """When it was made."""

    @property
    def modified_ms(self) -> int:
        """When it changed last."""


def passes(one: Listed, asked: Mapping[str, Any]) -> bool:
    """Whether a thing passes NameContains, and the times of creation and of the last change.

    Args:
        one: the thing.
        asked: the parameters of the list.
    """
    if asked.get("NameContains", "").lower() not in one.name.lower():
        return False
    for name, at_ms in (("CreationTime", one.created_ms), ("LastModifiedTime", one.modified_ms)):
        after, before = asked.get(f"{name}After"), asked.get(f"{name}Before")
        if after is not None and at_ms <= milliseconds(after):
            return False
        if before is not None and at_ms >= milliseconds(before):
            return False
    return True
