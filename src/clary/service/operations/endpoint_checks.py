"""Which endpoint is meant, and what it cannot be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.service.faults import Fault, not_found, validation
from clary.service.office import Office
from clary.service.state.endpoints import EndpointRecord

_ALL_AT_ONCE = "ALL_AT_ONCE"


def existing_endpoint(office: Office, name: str) -> EndpointRecord:
    """An endpoint by its name.

    Raises:
        Fault: there is none.
    """
    endpoint = office.state.endpoints.find(name)
    if endpoint is None:
        raise no_such_endpoint(office, name)
    return endpoint


def no_such_endpoint(office: Office, name: str) -> Fault:
    """An endpoint that is not there."""
    return not_found(f'Could not find endpoint "{office.arn(f"endpoint/{name}")}".')


def in_progress(endpoint: EndpointRecord) -> Fault:
    """An endpoint that is being changed already."""
    return validation(f'Cannot update in-progress endpoint "{endpoint.arn}".')


def check_deployment(config: Mapping[str, Any] | None) -> None:
    """Check how an endpoint is to be moved to another configuration.

    Args:
        config: DeploymentConfig; None where it is not given.

    Raises:
        Fault: it asks for what is not offered.
    """
    if not config:
        return
    for member in ("RollingUpdatePolicy", "AutoRollbackConfiguration"):
        if member in config:
            raise validation(
                f"{member} is not offered by Clary: an update that fails is rolled back as a "
                "whole; give BlueGreenUpdatePolicy, or nothing."
            )
    policy = config.get("BlueGreenUpdatePolicy") or {}
    kind = (policy.get("TrafficRoutingConfiguration") or {}).get("Type", _ALL_AT_ONCE)
    if kind != _ALL_AT_ONCE:
        raise validation(
            f"Traffic routing of type {kind} is not offered by Clary: give {_ALL_AT_ONCE}, or two "
            "variants and UpdateEndpointWeightsAndCapacities."
        )
