"""How an endpoint moves from status to status by itself: one table, in AWS's words.

    Creating ── whole ──▶ InService ── asked ──▶ Updating ── whole or failed ──▶ InService
        └───── failed ──▶ Failed

What is asked, and `Deleting` from everywhere, comes from the operations. What the table does not
hold does not happen: the functions give None, and the endpoint stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Any

from clary.service.state.endpoints import EndpointRecord

CREATING = "Creating"
UPDATING = "Updating"
IN_SERVICE = "InService"
FAILED = "Failed"
DELETING = "Deleting"

FAILURE_LIMIT = 1024
_PRODUCTION = "ProductionVariants"


class Event(Enum):
    """What can happen to an endpoint."""

    WHOLE = auto()
    FAILED = auto()


TABLE: Mapping[str, Mapping[Event, str]] = MappingProxyType(
    {
        CREATING: {Event.WHOLE: IN_SERVICE, Event.FAILED: FAILED},
        UPDATING: {Event.WHOLE: IN_SERVICE, Event.FAILED: IN_SERVICE},
        IN_SERVICE: {},
        FAILED: {},
        DELETING: {},
    }
)


def whole(record: EndpointRecord, at_ms: int) -> EndpointRecord | None:
    """The endpoint once every replica serves that was asked for: a new fleet takes over."""
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
        replace(one, weight=one.desired_weight, count=one.desired_count, desired_serverless=None)
        for one in changed.variants
    )
    config = _with_concurrency(changed)
    return replace(changed, config=config, variants=variants, failure=None)


def failed(record: EndpointRecord, reason: str, at_ms: int) -> EndpointRecord | None:
    """The endpoint once what was asked for cannot be: what served before serves on."""
    changed = _advanced(record, Event.FAILED, at_ms)
    if changed is None:
        return None
    if changed.status == IN_SERVICE and record.pending is None:
        variants = tuple(
            replace(
                one, desired_weight=one.weight, desired_count=one.count, desired_serverless=None
            )
            for one in record.variants
        )
        changed = replace(changed, variants=variants)
    return replace(changed, failure=reason[:FAILURE_LIMIT], pending=None)


def _with_concurrency(record: EndpointRecord) -> Mapping[str, Any]:
    """The configuration with what its serverless variants are to work on at once."""
    asked = {one.name: one.desired_serverless for one in record.variants if one.desired_serverless}
    if not asked:
        return record.config

    def changed(request: Mapping[str, Any]) -> Mapping[str, Any]:
        serverless = asked.get(request["VariantName"])
        return request if serverless is None else {**request, "ServerlessConfig": serverless}

    return {**record.config, _PRODUCTION: [changed(one) for one in record.config[_PRODUCTION]]}


def _advanced(record: EndpointRecord, event: Event, at_ms: int) -> EndpointRecord | None:
    target = TABLE.get(record.status, {}).get(event)
    return None if target is None else replace(record, status=target, modified_ms=at_ms)
