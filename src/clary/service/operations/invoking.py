"""SageMaker Runtime: endpoints are invoked, at once or asynchronously."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.service.call import Answer, Call
from clary.service.invocations.async_requests import DEFAULT_TTL_S, AsyncRequest
from clary.service.invocations.faults import not_offered
from clary.service.invocations.invocations import Given, Question
from clary.service.office import Handler, Office
from clary.service.protocol.event_stream import encode_event

_NOT_OFFERED = (
    "TargetContainerHostname",
    "EnableExplanations",
    "InferenceComponentName",
    "SessionId",
    "PrefixAwareId",
)
_EVENT_STREAM = "application/vnd.amazon.eventstream"
# Clients take frames up to 16 MiB.
_PART_BYTES = 1 << 20


def invoke_endpoint(office: Office, call: Call) -> Mapping[str, Any]:
    """Give the model's answer."""
    given = _ask(office, call)
    return {
        "Body": given.body,
        "ContentType": given.content_type,
        "InvokedProductionVariant": given.variant,
        "CustomAttributes": given.custom_attributes,
    }


def invoke_endpoint_with_response_stream(office: Office, call: Call) -> Answer:
    """Give the model's answer as a stream of parts, all of which are there already."""
    given = _ask(office, call)
    parts = [
        given.body[begin : begin + _PART_BYTES] for begin in range(0, len(given.body), _PART_BYTES)
    ]
    members = {
        "Body": b"".join(
            encode_event("PayloadPart", "application/octet-stream", part) for part in parts
        ),
        "ContentType": given.content_type,
        "InvokedProductionVariant": given.variant,
        "CustomAttributes": given.custom_attributes,
    }
    return Answer(members, headers={"content-type": _EVENT_STREAM})


def invoke_endpoint_async(office: Office, call: Call) -> Mapping[str, Any]:
    """Keep an invocation, and say where its answer will be."""
    asked = call.parameters
    _refuse(asked)
    hosted = office.invocations.asynchronous_endpoint(asked["EndpointName"])
    request = AsyncRequest.asked(asked, hosted.asynchronous or {})
    ttl_s = asked.get("RequestTTLSeconds", DEFAULT_TTL_S)
    office.invocations.ask_later(request, hosted, ttl_s)
    return {
        "InferenceId": request.inference_id,
        "OutputLocation": str(request.output),
        "FailureLocation": None if request.failure is None else str(request.failure),
    }


def _ask(office: Office, call: Call) -> Given:
    asked = call.parameters
    _refuse(asked)
    return office.invocations.ask(
        Question(
            endpoint=asked["EndpointName"],
            body=asked.get("Body") or b"",
            request_id=call.request_id,
            content_type=asked.get("ContentType", ""),
            accept=asked.get("Accept", ""),
            custom_attributes=asked.get("CustomAttributes", ""),
            inference_id=asked.get("InferenceId", ""),
            target_variant=asked.get("TargetVariant"),
            target_model=asked.get("TargetModel"),
            received_s=call.received_s,
        )
    )


def _refuse(asked: Mapping[str, Any]) -> None:
    for member in _NOT_OFFERED:
        if asked.get(member) is not None:
            raise not_offered(member)


OPERATIONS: dict[str, Handler] = {
    "InvokeEndpoint": invoke_endpoint,
    "InvokeEndpointWithResponseStream": invoke_endpoint_with_response_stream,
    "InvokeEndpointAsync": invoke_endpoint_async,
}

# Those that wait for the model; the others only write down what is asked.
WAITING = frozenset({"InvokeEndpoint", "InvokeEndpointWithResponseStream"})
