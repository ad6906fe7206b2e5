"""Transform jobs as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.service.state.database import Database
from clary.service.state.records import NamedRecords
from clary.service.state.tables import transform_jobs

ACTIVE = ("InProgress", "Stopping")


@dataclass(frozen=True)
class TransformJobRecord:
    """One batch transform job. Times are milliseconds since 1970.

    `request` is CreateTransformJob's, without its tags; `model` is CreateModel's request of the
    model that it names, which may be deleted meanwhile. `phase` is finer than `status`: what is
    being done for it. `started_ms` is when its data began to be brought, `launched` whether its
    process was started, once.
    """

    name: str
    arn: str
    request: Mapping[str, Any]
    model: Mapping[str, Any]
    created_ms: int
    modified_ms: int
    status: str = "InProgress"
    phase: str = "Queued"
    started_ms: int | None = None
    ended_ms: int | None = None
    stop_asked_ms: int | None = None
    launched: bool = False
    failure: str | None = None
    number: int = 0

    @property
    def active(self) -> bool:
        """Whether the supervisor still has something to do for it."""
        return self.status in ACTIVE


class TransformJobs(NamedRecords[TransformJobRecord]):
    """The stored transform jobs. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        structured = {"request": dict, "model": dict}
        super().__init__(database, transform_jobs, TransformJobRecord, structured)
