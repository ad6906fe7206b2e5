"""XML bodies, read and written by a shape of the service model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from clary.service.protocol.malformed import Malformed
from clary.service.protocol.models import Shape
from clary.service.protocol.text_values import text_from_value, value_from_text
from clary.service.protocol.timestamps import ISO8601

# The largest body that is sent: CompleteMultipartUpload with 10,000 parts and their checksums.
LIMIT_BYTES = 4 << 20
ELEMENTS_LIMIT = 100_000
DEPTH_LIMIT = 12
# What XML 1.0 has no place for goes out as a character reference, as S3 does it.
_CONTROLS = {chr(code): f"&#x{code:x};" for code in (*range(9), 11, 12, *range(14, 32), 13)}
_SCHEMA_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"


class _BoundedBuilder(ElementTree.TreeBuilder):
    """Builds no tree that costs far more than its text."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._elements = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ElementTree.Element:
        self._depth += 1
        self._elements += 1
        if self._depth > DEPTH_LIMIT or self._elements > ELEMENTS_LIMIT:
            raise Malformed(
                f"the body has more than {ELEMENTS_LIMIT} elements or is deeper than {DEPTH_LIMIT}"
            )
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ElementTree.Element:
        self._depth -= 1
        return super().end(tag)


def read_xml(shape: Shape, text: bytes) -> Any:
    """Read a document whose root is a value of the shape.

    Raises:
        Malformed: it is no XML, too large, or a value is of another kind than the shape says.
    """
    if len(text) > LIMIT_BYTES:
        raise Malformed(f"the body is larger than {LIMIT_BYTES} bytes")
    try:
        root = ElementTree.fromstring(text, ElementTree.XMLParser(target=_BoundedBuilder()))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise Malformed(f"the body is not well-formed XML: {error}") from error
    return _read(shape, [root])


def _read(shape: Shape, nodes: list[ElementTree.Element]) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return _read_structure(shape, nodes[0])
    if kind == "list":
        flat = shape.serialization.get("flattened")
        name = shape.member.serialization.get("name", "member")
        items = nodes if flat else [node for node in nodes[0] if _tag(node) == name]
        return [_read(shape.member, [item]) for item in items]
    if kind == "map":
        entries = nodes if shape.serialization.get("flattened") else list(nodes[0])
        return dict(_read_entry(shape, entry) for entry in entries)
    return value_from_text(shape, nodes[0].text or "")


def _read_structure(shape: Shape, node: ElementTree.Element) -> dict[str, Any]:
    children: dict[str, list[ElementTree.Element]] = {}
    for child in node:
        children.setdefault(_tag(child), []).append(child)
    values = {}
    for name, member in shape.members.items():
        wire = _wire_name(name, member)
        if member.serialization.get("xmlAttribute"):
            value = node.get(wire.replace("xsi:", _SCHEMA_INSTANCE))
            if value is not None:
                values[name] = value
            continue
        # Of a flattened list, some clients name the elements after the list, some after its member.
        found = children.get(wire) or children.get(member.serialization.get("name", name))
        if found:
            values[name] = _read(member, found)
    return values


def _read_entry(shape: Shape, entry: ElementTree.Element) -> tuple[Any, Any]:
    parts = {_tag(part): part for part in entry}
    key_name = shape.key.serialization.get("name", "key")
    value_name = shape.value.serialization.get("name", "value")
    if key_name not in parts or value_name not in parts:
        raise Malformed(f"an entry of a map needs {key_name} and {value_name}")
    return _read(shape.key, [parts[key_name]]), _read(shape.value, [parts[value_name]])


def write_xml(shape: Shape, value: Any, name: str) -> str:
    """Write a value as one element, or several where its list or map is flattened.

    Raises:
        KeyError: a member is not in the shape.
        ValueError: a timestamp is none.
    """
    return "".join(_write(shape, value, name))


def write_members(shape: Shape, value: Any) -> str:
    """Write the members of a structure that belong into a body, without an element around."""
    return "".join(_write_members(shape, value))


def xml_text(text: str) -> str:
    """Text as it stands between two tags."""
    return escape(text, _CONTROLS)


def _write(shape: Shape, value: Any, name: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        yield f"<{name}{_attributes(shape, value)}>"
        yield from _write_members(shape, value)
        yield f"</{name}>"
    elif kind == "list":
        flat = shape.serialization.get("flattened")
        item_name = name if flat else shape.member.serialization.get("name", "member")
        yield "" if flat else f"<{name}>"
        for item in value:
            yield from _write(shape.member, item, item_name)
        yield "" if flat else f"</{name}>"
    elif kind == "map":
        flat = shape.serialization.get("flattened")
        yield "" if flat else f"<{name}>"
        for key, item in value.items():
            yield f"<{name if flat else 'entry'}>"
            yield from _write(shape.key, key, shape.key.serialization.get("name", "key"))
            yield from _write(shape.value, item, shape.value.serialization.get("name", "value"))
            yield f"</{name if flat else 'entry'}>"
        yield "" if flat else f"</{name}>"
    else:
        yield f"<{name}>{xml_text(text_from_value(shape, value, ISO8601))}</{name}>"


def _write_members(shape: Shape, value: Any) -> Iterator[str]:
    for name, item in value.items():
        member = shape.members[name]
        serialization = member.serialization
        if item is None or serialization.get("location") or serialization.get("xmlAttribute"):
            continue
        yield from _write(member, item, _wire_name(name, member))


def _attributes(shape: Shape, value: Any) -> str:
    attributes = []
    namespace = shape.serialization.get("xmlNamespace")
    if isinstance(namespace, dict):
        prefix = f":{namespace['prefix']}" if namespace.get("prefix") else ""
        attributes.append(f" xmlns{prefix}={quoteattr(namespace['uri'])}")
    for name, item in value.items():
        serialization = shape.members[name].serialization
        if item is not None and serialization.get("xmlAttribute"):
            attributes.append(f" {serialization['name']}={quoteattr(str(item))}")
    return "".join(attributes)


def _wire_name(name: str, member: Shape) -> str:
    if member.type_name == "list" and member.serialization.get("flattened"):
        inner: str | None = member.member.serialization.get("name")
        if inner:
            return inner
    return str(member.serialization.get("name", name))


def _tag(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]
