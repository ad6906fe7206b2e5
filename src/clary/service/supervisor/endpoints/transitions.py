"""How an endpoint moves from status to status: one table, in AWS's words.

    Creating ── whole ──▶ InService ── asked ──▶ Updating ── whole or failed ──▶ InService
        └───── failed ──▶ Failed

and from everywhere but Creating, Updating and Deleting ── asked ──▶ Deleting. What the table does
not hold does not happen: the functions give None, and the endpoint stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Any

from clary.service.state.endpoints import EndpointRecord, Pending, VariantState

CREATING = "Creating"
UPDATING = "Updating"
IN_SERVICE = "InService"
FAILED = "Failed"
DELETING = "Deleting"
OUT_OF_SERVICE = "OutOfService"

FAILURE_LIMIT = 1024
PRODUCTION, SHADOW = "ProductionVariants", "ShadowProductionVariants"
# What UpdateEndpoint can leave out of what it retains.
_COUNT, _WEIGHT, _CAPTURE = "DesiredInstanceCount", "DesiredWeight", "DataCaptureConfig"


class Event(Enum):
    """What can happen to an endpoint."""

    WHOLE = auto()
    FAILED = auto()
    CHANGE_ASKED = auto()
    DELETE_ASKED = auto()


TABLE: Mapping[str, Mapping[Event, str]] = MappingProxyType(
    {
        CREATING: {Event.WHOLE: IN_SERVICE, Event.FAILED: FAILED},
        IN_SERVICE: {Event.CHANGE_ASKED: UPDATING, Event.DELETE_ASKED: DELETING},
        UPDATING: {Event.WHOLE: IN_SERVICE, Event.FAILED: IN_SERVICE},
        FAILED: {Event.DELETE_ASKED: DELETING},
        OUT_OF_SERVICE: {Event.DELETE_ASKED: DELETING},
        DELETING: {},
    }
)


def created(
    name: str, arn: str, config_name: str, config: Mapping[str, Any], at_ms: int
) -> EndpointRecord:
    """An endpoint in its first status.

    Args:
        name: the endpoint's.
        arn: the endpoint's.
        config_name: of its configuration.
        config: CreateEndpointConfig's request, with the models' under `_models`.
        at_ms: when.
    """
    return EndpointRecord(
        name=name,
        arn=arn,
        status=CREATING,
        config_name=config_name,
        config=config,
        created_ms=at_ms,
        modified_ms=at_ms,
        variants=variants_of(config),
    )


def update_asked(
    record: EndpointRecord,
    config_name: str,
    config: Mapping[str, Any],
    at_ms: int,
    *,
    deployment: Mapping[str, Any] | None = None,
    retain: bool = False,
    excluded: Sequence[str] = (),
) -> EndpointRecord | None:
    """The endpoint once it is to have another configuration; None unless it is in service.

    Args:
        record: the endpoint before.
        config_name: of the configuration.
        config: as `created` takes it.
        at_ms: when.
        deployment: UpdateEndpoint's DeploymentConfig.
        retain: keep the weights and counts that variants have now, and the data capture.
        excluded: the types of properties that are not kept all the same.
    """
    changed = _advanced(record, Event.CHANGE_ASKED, at_ms)
    if changed is None:
        return None
    if retain and _CAPTURE not in excluded:
        capture = record.config.get("DataCaptureConfig")
        config = {name: value for name, value in config.items() if name != "DataCaptureConfig"}
        if capture is not None:
            config = {**config, "DataCaptureConfig": capture}
    variants = variants_of(config)
    if retain:
        variants = tuple(_retained(one, record.variant(one.name), excluded) for one in variants)
    pending = Pending(
        config_name=config_name,
        config=config,
        fleet=record.fleet + 1 if record.pending is None else record.pending.fleet + 1,
        started_ms=at_ms,
        deployment=deployment,
        retain=retain,
        excluded=tuple(excluded),
        variants=variants,
    )
    return replace(changed, pending=pending, failure=None)


def capacities_asked(
    record: EndpointRecord,
    asked: Mapping[str, tuple[float | None, int | None]],
    at_ms: int,
) -> EndpointRecord | None:
    """The endpoint once variants are to have other weights and counts; None unless in service.

    Args:
        record: the endpoint before.
        asked: by variant, the weight and the count; None for what stays.
        at_ms: when.
    """
    changed = _advanced(record, Event.CHANGE_ASKED, at_ms)
    if changed is None:
        return None
    variants = tuple(_asked(one, *asked.get(one.name, (None, None))) for one in record.variants)
    return replace(changed, variants=variants, failure=None)


def delete_asked(record: EndpointRecord, at_ms: int) -> EndpointRecord | None:
    """The endpoint once it is to go; None while it is created, updated or deleted."""
    return _advanced(record, Event.DELETE_ASKED, at_ms)


def whole(record: EndpointRecord, at_ms: int) -> EndpointRecord | None:
    """The endpoint once every replica serves that was asked for: the new fleet takes over."""
    changed = _advanced(record, Event.WHOLE, at_ms)
    if changed is None:
        return None
    pending = record.pending
    if pending is not None:
        changed = replace(
            changed,
            config_name=pending.config_name,
            config=pending.config,
            fleet=pending.fleet,
            deployment=pending.deployment,
            variants=pending.variants,
            pending=None,
        )
    variants = tuple(
        replace(one, weight=one.desired_weight, count=one.desired_count) for one in changed.variants
    )
    return replace(changed, variants=variants, failure=None)


def failed(record: EndpointRecord, reason: str, at_ms: int) -> EndpointRecord | None:
    """The endpoint once what was asked for cannot be: what served before serves on."""
    changed = _advanced(record, Event.FAILED, at_ms)
    if changed is None:
        return None
    variants = tuple(
        replace(one, desired_weight=one.weight, desired_count=one.count) for one in record.variants
    )
    if changed.status == FAILED:
        variants = record.variants
    return replace(changed, failure=reason[:FAILURE_LIMIT], pending=None, variants=variants)


def variants_of(config: Mapping[str, Any]) -> tuple[VariantState, ...]:
    """The variants that a configuration asks for, without an instance yet; shadow ones last."""
    return tuple(
        VariantState(
            name=str(variant["VariantName"]),
            weight=float(variant.get("InitialVariantWeight", 1.0)),
            count=0,
            desired_weight=float(variant.get("InitialVariantWeight", 1.0)),
            desired_count=first_count(variant),
            shadow=shadow,
        )
        for variant, shadow in all_variants(config)
    )


def all_variants(config: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """All variants of a configuration, each with whether it is a shadow."""
    for member in (PRODUCTION, SHADOW):
        for variant in config.get(member) or ():
            yield variant, member == SHADOW


def first_count(variant: Mapping[str, Any]) -> int:
    """How many instances a variant has when it comes up; a serverless one shows that it can."""
    return 1 if variant.get("ServerlessConfig") else int(variant.get("InitialInstanceCount") or 1)


def _advanced(record: EndpointRecord, event: Event, at_ms: int) -> EndpointRecord | None:
    target = TABLE.get(record.status, {}).get(event)
    return None if target is None else replace(record, status=target, modified_ms=at_ms)


def _asked(one: VariantState, weight: float | None, count: int | None) -> VariantState:
    return replace(
        one,
        desired_weight=one.desired_weight if weight is None else weight,
        desired_count=one.desired_count if count is None else count,
    )


def _retained(
    one: VariantState, before: VariantState | None, excluded: Sequence[str]
) -> VariantState:
    if before is None:
        return one
    weight = None if _WEIGHT in excluded else before.weight
    count = None if _COUNT in excluded or before.count < 1 else before.count
    changed = _asked(one, weight, count)
    return changed if weight is None else replace(changed, weight=weight)
