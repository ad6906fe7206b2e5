"""Which operation of a REST service a method, a path and a query name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qsl

from clary.service.protocol.messages import HttpRequest, decoded_path
from clary.service.protocol.models import OperationModel, service_model


@dataclass(frozen=True)
class RestRoute:
    """One operation: what a request must have to mean it.

    `segments` are parts of the path; `{name}` stands for one, `{name+}` for all the rest.
    """

    operation: str
    method: str
    segments: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    query_names: tuple[str, ...]
    headers: tuple[str, ...]

    @property
    def weight(self) -> tuple[int, int, int, str]:
        """Orders routes that fit a request: the one with the most demands is meant."""
        demands = len(self.query) + len(self.query_names) + len(self.headers)
        literal = sum(not segment.startswith("{") for segment in self.segments)
        return (demands, literal, -_AMONG_EQUALS.get(self.operation, 0), self.operation)

    def labels(self, path: str) -> Mapping[str, str] | None:
        """What the path says for each label, decoded; None when it does not fit.

        Raises:
            UnicodeDecodeError: what it says is no UTF-8.
        """
        rest, labels = path[1:], {}
        for number, segment in enumerate(self.segments):
            last = number == len(self.segments) - 1
            if segment.endswith("+}"):
                if not rest:
                    return None
                labels[segment[1:-2]] = decoded_path(rest)
                return labels
            part, slash, rest = rest.partition("/")
            if (last and (slash and rest)) or not (last or slash):
                return None
            if not segment.startswith("{"):
                if decoded_path(part) != segment:
                    return None
            elif not part:
                return None
            else:
                labels[segment[1:-1]] = decoded_path(part)
        return labels if self.segments or not rest else None


# Pairs that a request cannot tell apart: the later name is the one that clients use today.
_AMONG_EQUALS = {
    "GetBucketLifecycle": 1,
    "GetBucketNotification": 1,
    "PutBucketLifecycle": 1,
    "PutBucketNotification": 1,
    "ListDirectoryBuckets": 1,
}


def find_rest_operation(
    service: str, request: HttpRequest, path: str
) -> tuple[str, Mapping[str, str]] | None:
    """The operation that a request means, and the labels of its path; None when there is none.

    Args:
        service: botocore's name of it.
        request: method, query and headers count.
        path: percent-encoded; of S3 with the bucket in front.

    Raises:
        UnicodeDecodeError: the path is no UTF-8.
    """
    query = request.query_map
    for route in _routes(service).get((request.method, bool(request.query_string)), ()):
        if (
            all(query.get(name) == value for name, value in route.query)
            and all(name in query for name in route.query_names)
            and all(name in request.headers for name in route.headers)
        ):
            labels = route.labels(path)
            if labels is not None:
                return route.operation, labels
    return None


@cache
def _routes(service: str) -> dict[tuple[str, bool], tuple[RestRoute, ...]]:
    """Routes by method, and by whether the request has a query at all."""
    model = service_model(service)
    routes: dict[tuple[str, bool], list[RestRoute]] = {}
    for name in model.operation_names:
        route = _route(model.operation_model(name))
        routes.setdefault((route.method, True), []).append(route)
        if not route.query and not route.query_names:
            routes.setdefault((route.method, False), []).append(route)
    return {
        kind: tuple(sorted(found, key=lambda route: route.weight, reverse=True))
        for kind, found in routes.items()
    }


def _route(operation: OperationModel) -> RestRoute:
    path, _, query = operation.http["requestUri"].partition("?")
    shape = operation.input_shape
    required = (
        [shape.members[name].serialization for name in shape.required_members] if shape else []
    )
    wire = {
        place: tuple(item["name"] for item in required if item.get("location") == place)
        for place in ("querystring", "header")
    }
    return RestRoute(
        operation.name,
        operation.http["method"],
        tuple(segment for segment in path.split("/") if segment),
        tuple(parse_qsl(query, keep_blank_values=True)),
        wire["querystring"],
        tuple(name.lower() for name in wire["header"]),
    )
