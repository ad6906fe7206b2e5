"""CreateModel and the operations on what it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary import clock
from clary.service.call import Call
from clary.service.faults import Fault, not_found, validation
from clary.service.office import Handler, Office
from clary.service.operations.list_filters import passes
from clary.service.operations.model_checks import check_model_data, check_model_request
from clary.service.operations.pages import listed
from clary.service.operations.times import timestamp
from clary.service.state.models import ModelRecord

PAGE_SIZE = 10

ORDERS: Mapping[str, Any] = {
    "Name": lambda one: (one.name, one.number),
    "CreationTime": lambda one: (one.created_ms, one.number),
}
# As SageMaker's lists of what serves come, where nothing else is asked.
NEWEST_FIRST: Mapping[str, Any] = {"SortOrder": "Descending"}


def create_model(office: Office, call: Call) -> Mapping[str, Any]:
    """Check a model and its archive, and store it."""
    request = dict(call.parameters)
    tags = request.pop("Tags", ())
    check_model_request(request, tags)
    name = request["ModelName"]
    check_model_data(office.store, request)
    model = ModelRecord(name, office.arn(f"model/{name}"), request, clock.now_ms())
    earlier = office.state.models.create(model, {tag["Key"]: tag["Value"] for tag in tags})
    if earlier is not None:
        raise validation(f'Cannot create already existing model "{earlier.arn}".')
    return {"ModelArn": model.arn}


def describe_model(office: Office, call: Call) -> Mapping[str, Any]:
    """Show a model."""
    name = call.parameters["ModelName"]
    model = office.state.models.find(name)
    if model is None:
        raise no_such_model(office, name)
    return {
        "EnableNetworkIsolation": False,
        **model.request,
        "ModelArn": model.arn,
        "CreationTime": timestamp(model.created_ms),
    }


def list_models(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the models that pass all filters."""
    asked = {**NEWEST_FIRST, **call.parameters}
    models = [model for model in office.state.models.select() if passes(model, asked)]
    chosen, onward = listed(models, ORDERS, asked, first_by="CreationTime", size=PAGE_SIZE)
    return {"Models": [_summary(model) for model in chosen], **onward}


def delete_model(office: Office, call: Call) -> Mapping[str, Any]:
    """Forget a model; endpoints that serve it go on, and its archive stays."""
    name = call.parameters["ModelName"]
    if not office.state.models.forget(name):
        raise no_such_model(office, name)
    return {}


def no_such_model(office: Office, name: str) -> Fault:
    """A model that is not there."""
    return not_found(f'Could not find model "{office.arn(f"model/{name}")}".')


def _summary(model: ModelRecord) -> dict[str, Any]:
    return {
        "ModelName": model.name,
        "ModelArn": model.arn,
        "CreationTime": timestamp(model.created_ms),
    }


OPERATIONS: dict[str, Handler] = {
    "CreateModel": create_model,
    "DescribeModel": describe_model,
    "ListModels": list_models,
    "DeleteModel": delete_model,
}
