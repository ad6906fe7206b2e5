"""What SageMaker's descriptions of jobs and endpoints have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


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
