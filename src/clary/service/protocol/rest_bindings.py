"""Where the parts of a REST operation's shapes stand in HTTP, worked out once for each shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from clary.service.protocol.models import Shape


@dataclass(frozen=True)
class Binding:
    """One member of a shape: `name` in parameters, `wire` in HTTP (headers in lower case)."""

    name: str
    wire: str
    shape: Shape


@dataclass(frozen=True)
class RestBindings:
    """The members of a structure by place.

    `header_maps` are prefixes of header names, `status` takes the HTTP status. `payload` is the
    member that is the whole body; otherwise `has_body` says whether members stand in it.
    """

    uri: tuple[Binding, ...]
    query: tuple[Binding, ...]
    headers: tuple[Binding, ...]
    header_maps: tuple[Binding, ...]
    status: Binding | None
    payload: Binding | None
    has_body: bool

    @property
    def streams(self) -> bool:
        """Whether the payload is raw bytes, or a stream of events, rather than a structure."""
        if self.payload is None:
            return False
        shape = self.payload.shape
        return shape.type_name in {"blob", "string"} or bool(shape.serialization.get("eventstream"))


@cache
def rest_bindings(shape: Shape) -> RestBindings:
    """The bindings of an input or output shape. Shapes live as long as their model."""
    places: dict[str | None, list[Binding]] = {}
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        wire = member.serialization.get("name", name)
        if location in {"header", "headers"}:
            wire = wire.lower()
        places.setdefault(location, []).append(Binding(name, wire, member))
    payload_name = shape.serialization.get("payload")
    payload = next((b for b in places.get(None, ()) if b.name == payload_name), None)
    return RestBindings(
        uri=tuple(places.get("uri", ())),
        query=tuple(places.get("querystring", ())),
        headers=tuple(places.get("header", ())),
        header_maps=tuple(places.get("headers", ())),
        status=next(iter(places.get("statusCode", ())), None),
        payload=payload,
        has_body=payload is None and None in places,
    )
