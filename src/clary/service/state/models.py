"""Models and endpoint configurations as they are stored: requests that stay as they were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.service.state.database import Database
from clary.service.state.records import NamedRecords
from clary.service.state.tables import endpoint_configs, models


@dataclass(frozen=True)
class ModelRecord:
    """One model: what CreateModel was asked for, without its tags. Times are ms since 1970."""

    name: str
    arn: str
    request: Mapping[str, Any]
    created_ms: int
    number: int = 0

    @property
    def modified_ms(self) -> int:
        """When it changed last: it never does."""
        return self.created_ms


@dataclass(frozen=True)
class EndpointConfigRecord:
    """What CreateEndpointConfig was asked for, without its tags. Times are ms since 1970."""

    name: str
    arn: str
    request: Mapping[str, Any]
    created_ms: int
    number: int = 0

    @property
    def modified_ms(self) -> int:
        """When it changed last: it never does."""
        return self.created_ms


class Models(NamedRecords[ModelRecord]):
    """The stored models. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, models, ModelRecord, {"request": dict})


class EndpointConfigs(NamedRecords[EndpointConfigRecord]):
    """The stored endpoint configurations. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, endpoint_configs, EndpointConfigRecord, {"request": dict})
