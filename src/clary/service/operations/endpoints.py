"""CreateEndpoint, and what shows and deletes endpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from clary import clock
from clary.service.call import Call
from clary.service.faults import validation
from clary.service.office import Handler, Office
from clary.service.operations.endpoint_checks import (
    check_deployment,
    existing_endpoint,
    in_progress,
    no_such_endpoint,
)
from clary.service.operations.endpoint_configs import existing_config, snapshot
from clary.service.operations.endpoint_describing import description, summary
from clary.service.operations.endpoint_updates import variant_states
from clary.service.operations.list_filters import passes
from clary.service.operations.models import NEWEST_FIRST, ORDERS
from clary.service.operations.pages import listed
from clary.service.operations.patience import endpoint_patience_s
from clary.service.operations.training_job_checks import check_tags
from clary.service.state.endpoints import EndpointRecord

PAGE_SIZE = 10

_ORDERS: Mapping[str, Any] = {**ORDERS, "Status": lambda one: (one.status, one.number)}


def create_endpoint(office: Office, call: Call) -> Mapping[str, Any]:
    """Store an endpoint as its configuration is now, and tell the supervisor."""
    request = call.parameters
    tags = request.get("Tags", ())
    check_tags(tags)
    check_deployment(request.get("DeploymentConfig"))
    name, created_ms = request["EndpointName"], clock.now_ms()
    config = existing_config(office, request["EndpointConfigName"])
    content = snapshot(office, config)
    endpoint = EndpointRecord(
        name=name,
        arn=office.arn(f"endpoint/{name}"),
        status="Creating",
        config_name=config.name,
        config=content,
        created_ms=created_ms,
        modified_ms=created_ms,
        variants=variant_states(content),
        deployment=request.get("DeploymentConfig"),
    )
    earlier = office.state.endpoints.create(endpoint, {tag["Key"]: tag["Value"] for tag in tags})
    if earlier is not None:
        raise validation(f'Cannot create already existing endpoint "{earlier.arn}".')
    office.supervisor.endpoints.wake()
    return {"EndpointArn": endpoint.arn}


def describe_endpoint(office: Office, call: Call) -> Mapping[str, Any]:
    """Show an endpoint; late, when it is about to change and the caller waits for it."""
    name = call.parameters["EndpointName"]
    endpoint = existing_endpoint(office, name)
    patience = endpoint_patience_s(endpoint, call.headers, clock.now_ms())
    if patience > 0:
        later = office.supervisor.endpoints.wait_until(name, lambda now: not now.moving, patience)
        if later is None:
            raise no_such_endpoint(office, name)
        endpoint = later
    return description(endpoint, office.state.replicas.select(("Serving",), endpoint.number))


def list_endpoints(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the endpoints that pass all filters."""
    asked = {**NEWEST_FIRST, **call.parameters}
    status = asked.get("StatusEquals")
    known = office.state.endpoints.select((status,) if status else ())
    endpoints = [one for one in known if passes(one, asked)]
    chosen, onward = listed(endpoints, _ORDERS, asked, first_by="CreationTime", size=PAGE_SIZE)
    return {"Endpoints": [summary(endpoint) for endpoint in chosen], **onward}


def delete_endpoint(office: Office, call: Call) -> Mapping[str, Any]:
    """Ask for an endpoint's end; what it has accepted is answered. Also while it is created."""
    name, at_ms = call.parameters["EndpointName"], clock.now_ms()

    def deleting(endpoint: EndpointRecord) -> EndpointRecord:
        if endpoint.status == "Deleting":
            raise in_progress(endpoint)
        return dataclasses.replace(endpoint, status="Deleting", modified_ms=at_ms)

    if office.state.endpoints.change(name, deleting) is None:
        raise no_such_endpoint(office, name)
    office.supervisor.endpoints.wake()
    return {}


OPERATIONS: dict[str, Handler] = {
    "CreateEndpoint": create_endpoint,
    "DescribeEndpoint": describe_endpoint,
    "ListEndpoints": list_endpoints,
    "DeleteEndpoint": delete_endpoint,
}
