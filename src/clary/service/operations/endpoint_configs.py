"""CreateEndpointConfig and the operations on what it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary import clock
from clary.service.call import Call
from clary.service.faults import Fault, not_found, validation
from clary.service.office import Handler, Office
from clary.service.operations.endpoint_config_checks import (
    PRODUCTION,
    SHADOW,
    check_config_request,
    check_models,
)
from clary.service.operations.list_filters import passes
from clary.service.operations.models import NEWEST_FIRST, ORDERS, no_such_model
from clary.service.operations.pages import listed
from clary.service.operations.times import timestamp
from clary.service.state.endpoints import MODELS
from clary.service.state.models import EndpointConfigRecord

PAGE_SIZE = 10


def create_endpoint_config(office: Office, call: Call) -> Mapping[str, Any]:
    """Check a configuration and store it."""
    request = _completed(call.parameters)
    tags = request.pop("Tags", ())
    check_config_request(request, tags)
    check_models(request, models_of(office, request))
    name = request["EndpointConfigName"]
    config = EndpointConfigRecord(
        name, office.arn(f"endpoint-config/{name}"), request, clock.now_ms()
    )
    earlier = office.state.endpoint_configs.create(
        config, {tag["Key"]: tag["Value"] for tag in tags}
    )
    if earlier is not None:
        raise validation(f'Cannot create already existing endpoint configuration "{earlier.arn}".')
    return {"EndpointConfigArn": config.arn}


def describe_endpoint_config(office: Office, call: Call) -> Mapping[str, Any]:
    """Show a configuration."""
    config = existing_config(office, call.parameters["EndpointConfigName"])
    return {
        **config.request,
        "EndpointConfigArn": config.arn,
        "CreationTime": timestamp(config.created_ms),
    }


def list_endpoint_configs(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the configurations that pass all filters."""
    asked = {**NEWEST_FIRST, **call.parameters}
    configs = [one for one in office.state.endpoint_configs.select() if passes(one, asked)]
    chosen, onward = listed(configs, ORDERS, asked, first_by="CreationTime", size=PAGE_SIZE)
    return {"EndpointConfigs": [_summary(config) for config in chosen], **onward}


def delete_endpoint_config(office: Office, call: Call) -> Mapping[str, Any]:
    """Forget a configuration; endpoints that were made from it go on."""
    name = call.parameters["EndpointConfigName"]
    if not office.state.endpoint_configs.forget(name):
        raise _no_such_config(office, name)
    return {}


def existing_config(office: Office, name: str) -> EndpointConfigRecord:
    """A configuration by its name.

    Raises:
        Fault: there is none.
    """
    config = office.state.endpoint_configs.find(name)
    if config is None:
        raise _no_such_config(office, name)
    return config


def snapshot(office: Office, config: EndpointConfigRecord) -> dict[str, Any]:
    """A configuration with its models' requests, as an endpoint keeps it.

    Raises:
        Fault: a model was deleted since.
    """
    return {**config.request, MODELS: models_of(office, config.request)}


def models_of(office: Office, request: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The requests of all models that a configuration names, by their names.

    Raises:
        Fault: there is no such model.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for member in (PRODUCTION, SHADOW):
        for variant in request.get(member) or ():
            name = variant["ModelName"]
            model = office.state.models.find(name)
            if model is None:
                raise no_such_model(office, name)
            found[name] = model.request
    return found


def _completed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    request = dict(parameters)
    for member in (PRODUCTION, SHADOW):
        if request.get(member):
            request[member] = [
                {"InitialVariantWeight": 1.0, **variant} for variant in request[member]
            ]
    if "DataCaptureConfig" in request:
        request["DataCaptureConfig"] = {"EnableCapture": True, **request["DataCaptureConfig"]}
    return request


def _no_such_config(office: Office, name: str) -> Fault:
    arn = office.arn(f"endpoint-config/{name}")
    return not_found(f'Could not find endpoint configuration "{arn}".')


def _summary(config: EndpointConfigRecord) -> dict[str, Any]:
    return {
        "EndpointConfigName": config.name,
        "EndpointConfigArn": config.arn,
        "CreationTime": timestamp(config.created_ms),
    }


OPERATIONS: dict[str, Handler] = {
    "CreateEndpointConfig": create_endpoint_config,
    "DescribeEndpointConfig": describe_endpoint_config,
    "ListEndpointConfigs": list_endpoint_configs,
    "DeleteEndpointConfig": delete_endpoint_config,
}
