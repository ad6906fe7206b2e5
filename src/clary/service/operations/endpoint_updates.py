"""UpdateEndpoint and UpdateEndpointWeightsAndCapacities: what an endpoint is to be next."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from clary import clock
from clary.service.call import Call
from clary.service.faults import validation
from clary.service.office import Handler, Office
from clary.service.operations.endpoint_checks import (
    check_deployment,
    existing_endpoint,
    in_progress,
)
from clary.service.operations.endpoint_config_checks import (
    PRODUCTION,
    SHADOW,
    concurrency_problems,
    instance_problems,
)
from clary.service.operations.endpoint_configs import existing_config, snapshot
from clary.service.state.endpoints import (
    EndpointRecord,
    Pending,
    VariantState,
    variant_request,
)

_CAPTURE = "DataCaptureConfig"


def update_endpoint(office: Office, call: Call) -> Mapping[str, Any]:
    """Move an endpoint to another configuration, without a moment in which it does not serve."""
    request = call.parameters
    check_deployment(request.get("DeploymentConfig"))
    if request.get("RetainDeploymentConfig") and "DeploymentConfig" in request:
        raise validation("RetainDeploymentConfig excludes DeploymentConfig.")
    existing_endpoint(office, request["EndpointName"])
    config = existing_config(office, request["EndpointConfigName"])
    content = snapshot(office, config)
    at_ms = clock.now_ms()

    def updating(endpoint: EndpointRecord) -> EndpointRecord:
        _check_in_service(endpoint)
        keeps = request.get("RetainDeploymentConfig", False)
        deployment = endpoint.deployment if keeps else request.get("DeploymentConfig")
        pending = _pending(endpoint, config.name, content, request, at_ms)
        return dataclasses.replace(
            endpoint,
            status="Updating",
            failure=None,
            fleets=pending.fleet,
            pending=dataclasses.replace(pending, deployment=deployment),
            modified_ms=at_ms,
        )

    return _changed(office, request["EndpointName"], updating)


def update_weights_and_capacities(office: Office, call: Call) -> Mapping[str, Any]:
    """Give variants other shares of the traffic, or other numbers of instances."""
    wishes = call.parameters["DesiredWeightsAndCapacities"]
    at_ms = clock.now_ms()

    def updating(endpoint: EndpointRecord) -> EndpointRecord:
        _check_in_service(endpoint)
        problems = list(_problems(endpoint, wishes))
        if problems:
            raise validation(" ".join(problems))
        asked = {wish["VariantName"]: wish for wish in wishes}
        return dataclasses.replace(
            endpoint,
            status="Updating",
            failure=None,
            variants=tuple(
                _wished(endpoint.config, one, asked.get(one.name, {})) for one in endpoint.variants
            ),
            modified_ms=at_ms,
        )

    return _changed(office, call.parameters["EndpointName"], updating)


def variant_states(config: Mapping[str, Any]) -> tuple[VariantState, ...]:
    """The variants of a configuration before they have an instance.

    Args:
        config: CreateEndpointConfig's parameters.
    """
    return tuple(
        VariantState(
            name=variant["VariantName"],
            weight=variant["InitialVariantWeight"],
            count=0,
            desired_weight=variant["InitialVariantWeight"],
            desired_count=variant.get("InitialInstanceCount", 0),
            shadow=member == SHADOW,
        )
        for member in (PRODUCTION, SHADOW)
        for variant in config.get(member) or ()
    )


def _changed(
    office: Office, name: str, change: Callable[[EndpointRecord], EndpointRecord]
) -> Mapping[str, Any]:
    endpoint = office.state.endpoints.change(name, change)
    if endpoint is None:
        endpoint = existing_endpoint(office, name)
    office.supervisor.endpoints.wake()
    return {"EndpointArn": endpoint.arn}


def _check_in_service(endpoint: EndpointRecord) -> None:
    if endpoint.moving:
        raise in_progress(endpoint)
    if endpoint.status != "InService":
        raise validation(
            f'Cannot update endpoint "{endpoint.arn}" in status {endpoint.status}: delete it and '
            "create it again."
        )


def _pending(
    endpoint: EndpointRecord,
    config_name: str,
    content: Mapping[str, Any],
    request: Mapping[str, Any],
    at_ms: int,
) -> Pending:
    excluded = tuple(
        one["VariantPropertyType"] for one in request.get("ExcludeRetainedVariantProperties") or ()
    )
    variants = variant_states(content)
    if request.get("RetainAllVariantProperties", False):
        variants = tuple(_retained(endpoint, content, one, excluded) for one in variants)
        if _CAPTURE not in excluded:
            content = {name: value for name, value in content.items() if name != _CAPTURE}
            if _CAPTURE in endpoint.config:
                content[_CAPTURE] = endpoint.config[_CAPTURE]
    return Pending(
        config_name=config_name,
        config=content,
        fleet=endpoint.fleets + 1,
        started_ms=at_ms,
        variants=variants,
    )


def _retained(
    endpoint: EndpointRecord,
    content: Mapping[str, Any],
    variant: VariantState,
    excluded: Iterable[str],
) -> VariantState:
    """A variant of the next configuration with what it has now, where it is there now."""
    now = endpoint.variant(variant.name)
    if now is None or now.shadow != variant.shadow:
        return variant
    if "DesiredWeight" not in excluded:
        weight = now.desired_weight
        variant = dataclasses.replace(variant, weight=weight, desired_weight=weight)
    # One that is serverless, now or next, has no number of instances.
    sized = all(
        "ServerlessConfig" not in variant_request(config, variant.name)
        for config in (endpoint.config, content)
    )
    if "DesiredInstanceCount" not in excluded and sized:
        variant = dataclasses.replace(variant, desired_count=now.desired_count)
    return variant


def _problems(endpoint: EndpointRecord, wishes: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    wishes = list(wishes)
    counts = Counter(wish["VariantName"] for wish in wishes)
    for name in sorted(name for name, count in counts.items() if count > 1):
        yield f"VariantName {name!r} is given {counts[name]} times."
    for wish in wishes:
        name = wish["VariantName"]
        if endpoint.variant(name) is None:
            known = ", ".join(one.name for one in endpoint.variants)
            yield f'Could not find variant "{name}" of endpoint "{endpoint.arn}": it has {known}.'
            continue
        serverless = variant_request(endpoint.config, name).get("ServerlessConfig")
        if serverless is None:
            yield from instance_problems(
                "DesiredInstanceCount", name, wish.get("DesiredInstanceCount")
            )
            if "ServerlessUpdateConfig" in wish:
                yield f"ServerlessUpdateConfig is given, and variant {name!r} is not serverless."
        else:
            if "DesiredInstanceCount" in wish:
                yield (
                    f"DesiredInstanceCount is given, and variant {name!r} is serverless: give "
                    "ServerlessUpdateConfig."
                )
            changed = {**serverless, **(wish.get("ServerlessUpdateConfig") or {})}
            yield from concurrency_problems(name, changed)
    yield from _weight_problems(endpoint, wishes)


def _weight_problems(
    endpoint: EndpointRecord, wishes: Iterable[Mapping[str, Any]]
) -> Iterator[str]:
    weights = {one.name: one.desired_weight for one in endpoint.variants if not one.shadow}
    for wish in wishes:
        if wish["VariantName"] in weights and "DesiredWeight" in wish:
            weights[wish["VariantName"]] = wish["DesiredWeight"]
    if not any(weight > 0 for weight in weights.values()):
        yield "DesiredWeight would be 0 for all variants: at least one must be above 0."


def _wished(
    config: Mapping[str, Any], variant: VariantState, wish: Mapping[str, Any]
) -> VariantState:
    serverless = None
    changes = wish.get("ServerlessUpdateConfig")
    if changes:
        serverless = {**variant_request(config, variant.name)["ServerlessConfig"], **changes}
    return dataclasses.replace(
        variant,
        desired_weight=wish.get("DesiredWeight", variant.desired_weight),
        desired_count=wish.get("DesiredInstanceCount", variant.desired_count),
        desired_serverless=serverless,
    )


OPERATIONS: dict[str, Handler] = {
    "UpdateEndpoint": update_endpoint,
    "UpdateEndpointWeightsAndCapacities": update_weights_and_capacities,
}
