"""Tags of SageMaker's resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from clary.service.call import Call
from clary.service.faults import validation
from clary.service.office import Handler, Office
from clary.service.operations.pages import page

TAG_LIMIT = 50


class _Tagged(Protocol):
    @property
    def arn(self) -> str: ...


def add_tags(office: Office, call: Call) -> Mapping[str, Any]:
    """Set tags of a resource."""
    arn = _existing(office, call)
    added = {tag["Key"]: tag["Value"] for tag in call.parameters["Tags"]}
    if not office.state.tags.add(arn, added, TAG_LIMIT):
        raise validation(f"A resource has at most {TAG_LIMIT} tags: delete some of {arn} first.")
    return {"Tags": _shown(office.state.tags.of(arn))}


def list_tags(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the tags of a resource."""
    tags = _shown(office.state.tags.of(_existing(office, call)))
    asked = call.parameters
    try:
        chosen, token = page(
            tags,
            lambda tag: [tag["Key"]],
            asked.get("NextToken"),
            asked.get("MaxResults", TAG_LIMIT),
        )
    except ValueError as error:
        raise validation(f"Invalid NextToken: {error}.") from error
    return {"Tags": chosen} if token is None else {"Tags": chosen, "NextToken": token}


def delete_tags(office: Office, call: Call) -> Mapping[str, Any]:
    """Remove tags of a resource."""
    office.state.tags.remove(_existing(office, call), call.parameters["TagKeys"])
    return {}


def _existing(office: Office, call: Call) -> str:
    arn: str = call.parameters["ResourceArn"]
    kind, _, name = arn.split(":", 5)[5].partition("/")
    state = office.state
    find: Mapping[str, Callable[[str], _Tagged | None]] = {
        "training-job": state.training_jobs.find,
        "hyper-parameter-tuning-job": state.tuning_jobs.find,
        "model": state.models.find,
        "endpoint-config": state.endpoint_configs.find,
        "endpoint": state.endpoints.find,
        "transform-job": state.transform_jobs.find,
    }
    tagged = find[kind](name) if kind in find else None
    if tagged is None or tagged.arn != arn:
        raise validation(f"Could not find a resource with ARN {arn}.")
    return arn


def _shown(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


OPERATIONS: dict[str, Handler] = {
    "AddTags": add_tags,
    "ListTags": list_tags,
    "DeleteTags": delete_tags,
}
