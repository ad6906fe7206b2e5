"""What a request is for: its service, its protocol and, as far as the head tells, its operation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from clary.service.faults import Fault
from clary.service.protocol.authorization import scope_service
from clary.service.protocol.messages import HttpRequest
from clary.service.protocol.models import SERVICES, service_model
from clary.service.protocol.presigned import is_signed_v2, with_headers_of_query
from clary.service.protocol.query_values import form_fields
from clary.service.protocol.rest_bindings import rest_bindings
from clary.service.protocol.rest_routes import find_rest_operation

JSON, QUERY, CBOR = "json", "query", "smithy-rpc-v2-cbor"
REST_JSON, REST_XML = "rest-json", "rest-xml"

_RPC_PATH = re.compile(r"/service/(?P<target>\w+)/operation/(?P<operation>\w+)")
_INVOCATIONS_PATH = re.compile(
    r"/endpoints/[^/]+/(?:invocations|async-invocations|invocations-response-stream)"
)
# bucket.localhost, bucket.s3.amazonaws.com, bucket.s3.eu-west-1.amazonaws.com
_BUCKET_HOST = re.compile(
    r"(?P<bucket>[a-z0-9][a-z0-9._-]*)\.(?:s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com|(?:s3\.)?localhost)"
)
_REST_XML_ELSEWHERE = {"route53", "cloudfront"}
_BY_TARGET = {s.target_prefix: s.name for s in SERVICES.values() if s.target_prefix}
_BY_VERSION = {s.version: s.name for s in SERVICES.values() if s.version}
_BY_SIGNING_NAME = {s.signing_name: s.name for s in reversed(SERVICES.values())}


@dataclass(frozen=True)
class Route:
    """Where a request goes.

    `operation` is empty while only the body tells it (the query protocol). `labels` are the
    parts of a REST path.
    """

    service: str
    protocol: str
    operation: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def streams(self) -> bool:
        """Whether the body is handed to the operation as it comes."""
        if self.protocol != REST_XML or not self.operation:
            return False
        shape = service_model(self.service).operation_model(self.operation).input_shape
        return shape is not None and rest_bindings(shape).streams


def find_route(request: HttpRequest) -> Route:
    """Tell service and operation by path, X-Amz-Target and SigV4 scope.

    Raises:
        Unrouted: no service that is offered is meant, or no operation of it.
    """
    rpc = _RPC_PATH.fullmatch(request.path)
    if rpc and request.headers.get("smithy-protocol") == "rpc-v2-cbor":
        return Route(_service_of_target(rpc["target"], CBOR), CBOR, rpc["operation"])
    target = request.headers.get("x-amz-target")
    if target:
        prefix, _, operation = target.rpartition(".")
        return Route(_service_of_target(prefix, JSON), JSON, operation)
    scope = scope_service(request)
    if scope == "sagemaker" or (scope is None and _invokes(request)):
        return _sagemaker_rest(request)
    content_type = request.headers.get("content-type", "")
    form = content_type.startswith("application/x-www-form-urlencoded")
    if scope is None and form and not is_signed_v2(request):
        return Route("", QUERY)
    if scope in {None, "s3"}:
        return _s3(request)
    service = _BY_SIGNING_NAME.get(scope or "")
    if service is None or SERVICES[service].version is None:
        raise Unrouted(
            Route(scope or "", _foreign_protocol(scope, request)), _not_offered(scope or "")
        )
    return Route(service, QUERY, request.query_map.get("Action", ""))


def route_by_body(route: Route, request: HttpRequest) -> Route:
    """Complete the route of a query request from its form body.

    Raises:
        Unrouted: the body names no service that is offered, or no operation.
    """
    fields = query_fields(request)
    service = route.service or _BY_VERSION.get(fields.get("Version", ""), "")
    if not service:
        raise Unrouted(route, _not_offered(fields.get("Version", "this request")))
    if not fields.get("Action"):
        raise Unrouted(
            Route(service, QUERY), Fault("MissingAction", "The request must contain an Action.")
        )
    return replace(route, service=service, operation=fields["Action"])


def query_fields(request: HttpRequest) -> dict[str, str]:
    """The parameters of a query request: of its form body, or of its query string."""
    fields = dict(request.query)
    fields.update(form_fields(request.body.decode("utf-8", "replace")))
    return fields


class Unrouted(Exception):
    """A request that goes nowhere: `fault` is the answer, in the protocol of `route`."""

    def __init__(self, route: Route, fault: Fault) -> None:
        super().__init__(fault.message)
        self.route = route
        self.fault = fault


def s3_path(request: HttpRequest) -> str:
    """The path with the bucket in front, which some clients put into the host's name."""
    host = _BUCKET_HOST.fullmatch(request.host)
    if host and host["bucket"] != "s3":
        return f"/{host['bucket']}{request.path}"
    return request.path


def _service_of_target(prefix: str, protocol: str) -> str:
    service = _BY_TARGET.get(prefix)
    if service is None:
        raise Unrouted(Route(prefix, protocol), _not_offered(prefix))
    return service


def _sagemaker_rest(request: HttpRequest) -> Route:
    for service in ("sagemaker-runtime", "sagemaker-metrics"):
        try:
            found = find_rest_operation(service, request, request.path)
        except UnicodeDecodeError:  # a path that is no text names nothing
            found = None
        if found:
            return Route(service, REST_JSON, *found)
    raise Unrouted(
        Route("sagemaker-runtime", REST_JSON),
        Fault(
            "UnknownOperationException",
            f"{request.method} {request.path} is no operation of SageMaker.",
            404,
        ),
    )


def _invokes(request: HttpRequest) -> bool:
    """Whether an unsigned request is meant for an endpoint, whatever the type of its body.

    What is posted to an object of S3 has a query.
    """
    if request.method != "POST" or request.query_string:
        return False
    return _INVOCATIONS_PATH.fullmatch(request.path) is not None


def _s3(request: HttpRequest) -> Route:
    try:
        found = find_rest_operation("s3", with_headers_of_query(request), s3_path(request))
    except UnicodeDecodeError as error:
        fault = Fault("InvalidURI", "Couldn't parse the specified URI.")
        raise Unrouted(Route("s3", REST_XML), fault) from error
    if found is None:
        raise Unrouted(
            Route("s3", REST_XML),
            Fault(
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
                405,
                members={"Method": request.method},
            ),
        )
    return Route("s3", REST_XML, *found)


def _not_offered(name: str) -> Fault:
    return Fault(
        "UnknownOperationException",
        f"Clary does not offer {name}: it offers {', '.join(SERVICES)}.",
        400,
    )


def _foreign_protocol(scope: str | None, request: HttpRequest) -> str:
    if scope in _REST_XML_ELSEWHERE:
        return REST_XML
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("application/x-amz-json"):
        return JSON
    if content_type.startswith("application/x-www-form-urlencoded"):
        return QUERY
    return REST_JSON
