"""Endpoints as they are stored: what each is to be, and what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clary.service.state.database import Database
from clary.service.state.records import NamedRecords
from clary.service.state.tables import endpoints

# The statuses of endpoints that the supervisor still moves to another one.
MOVING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
# Where an endpoint's configuration keeps its models' requests, by their names.
MODELS = "_models"


@dataclass(frozen=True)
class VariantState:
    """How much of the traffic a variant gets, and how many instances it has: now, and to be.

    `count` is 0 for a serverless variant that is idle. A shadow variant's weight is the part of
    the traffic that is copied to it. `desired_serverless` is the ServerlessConfig that was asked
    for and is not in effect yet.
    """

    name: str
    weight: float
    count: int
    desired_weight: float
    desired_count: int
    shadow: bool = False
    desired_serverless: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Pending:
    """A configuration that an endpoint is being moved to, by a fleet of its own.

    `config` is as `EndpointRecord.config`; `variants` have the weights and counts that the update
    retains. `deployment` is UpdateEndpoint's DeploymentConfig.
    """

    config_name: str
    config: Mapping[str, Any]
    fleet: int
    started_ms: int
    deployment: Mapping[str, Any] | None = None
    variants: tuple[VariantState, ...] = ()


@dataclass(frozen=True)
class EndpointRecord:
    """One endpoint. Times are milliseconds since 1970.

    `config` is the request of the configuration that is served, and under `_models` the request
    of each model that it names: both may be deleted while they are in use. `fleet` counts the
    configurations that the endpoint has been given, from 1, and `fleets` is the last number that
    was given: replicas of the fleet serve, those of `pending` are being started. `deployment` is
    the DeploymentConfig of the last update.
    """

    name: str
    arn: str
    status: str
    config_name: str
    config: Mapping[str, Any]
    created_ms: int
    modified_ms: int
    fleet: int = 1
    fleets: int = 1
    variants: tuple[VariantState, ...] = ()
    pending: Pending | None = None
    deployment: Mapping[str, Any] | None = None
    failure: str | None = None
    number: int = 0

    @property
    def moving(self) -> bool:
        """Whether the supervisor is about to change its status."""
        return self.status in MOVING

    def variant(self, name: str) -> VariantState | None:
        """A variant that serves, by its name."""
        return next((one for one in self.variants if one.name == name), None)


class Endpoints(NamedRecords[EndpointRecord]):
    """The stored endpoints. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        structured: Mapping[str, Callable[[Any], Any]] = {
            "config": dict,
            "variants": _variants,
            "pending": _pending,
            "deployment": dict,
        }
        super().__init__(database, endpoints, EndpointRecord, structured)


def variant_request(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A variant as an endpoint's configuration asks for it, production's or shadow's.

    Raises:
        KeyError: there is no variant of that name.
    """
    for member in ("ProductionVariants", "ShadowProductionVariants"):
        for variant in config.get(member) or ():
            if variant["VariantName"] == name:
                found: Mapping[str, Any] = variant
                return found
    raise KeyError(name)


def model_request(config: Mapping[str, Any], variant: str) -> Mapping[str, Any]:
    """CreateModel's request of the model that a variant serves.

    Raises:
        KeyError: there is no variant of that name.
    """
    found: Mapping[str, Any] = config[MODELS][variant_request(config, variant)["ModelName"]]
    return found


def _variants(content: Any) -> tuple[VariantState, ...]:
    return tuple(VariantState(**one) for one in content)


def _pending(content: Any) -> Pending:
    return Pending(**{**content, "variants": _variants(content["variants"])})
