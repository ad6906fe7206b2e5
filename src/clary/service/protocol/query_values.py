"""Parameters of the query protocol: `Tags.member.1.Key=a` and its kin, read by a shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from clary.service.protocol.malformed import Malformed
from clary.service.protocol.models import Shape
from clary.service.protocol.text_values import natural_number, value_from_text


def form_fields(text: str) -> dict[str, str]:
    """The fields of a form body or a query string; of repeated names the last counts."""
    return dict(parse_qsl(text, keep_blank_values=True))


def read_query(shape: Shape, fields: Mapping[str, str]) -> dict[str, Any]:
    """Turn fields into the parameters of an operation.

    Raises:
        Malformed: a value is of another kind than the shape says.
    """
    tree: dict[str, Any] = {}
    for name, text in fields.items():
        node = tree
        *parents, last = name.split(".")
        for part in parents:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise Malformed(f"{name} contradicts another parameter")
        if isinstance(node.get(last), dict):
            raise Malformed(f"{name} contradicts another parameter")
        node[last] = text
    return _structure(shape, tree)


def _structure(shape: Shape, tree: Mapping[str, Any]) -> dict[str, Any]:
    values = {}
    for name, member in shape.members.items():
        wire = member.serialization.get("name", name)
        if member.type_name == "list" and member.serialization.get("flattened"):
            wire = member.member.serialization.get("name") or wire
        if wire in tree:
            values[name] = _value(member, tree[wire])
    return values


def _value(shape: Shape, tree: Any) -> Any:
    kind = shape.type_name
    if kind in {"structure", "list", "map"}:
        if tree == "":  # how the protocol writes an empty list
            tree = {}
        if not isinstance(tree, dict):
            raise Malformed(f"a {kind} was expected where {tree!r} stands")
        return {"structure": _structure, "list": _list, "map": _map}[kind](shape, tree)
    if not isinstance(tree, str):
        raise Malformed(f"a {kind} was expected where a structure stands")
    return value_from_text(shape, tree)


def _list(shape: Shape, tree: Mapping[str, Any]) -> list[Any]:
    if not shape.serialization.get("flattened"):
        tree = tree.get(shape.member.serialization.get("name", "member"), {})
    return [_value(shape.member, item) for item in _in_order(tree)]


def _map(shape: Shape, tree: Mapping[str, Any]) -> dict[str, Any]:
    if not shape.serialization.get("flattened"):
        tree = tree.get("entry", {})
    key_name = shape.key.serialization.get("name", "key")
    value_name = shape.value.serialization.get("name", "value")
    values = {}
    for entry in _in_order(tree):
        if not isinstance(entry, dict) or key_name not in entry or value_name not in entry:
            raise Malformed(f"an entry of a map needs {key_name} and {value_name}")
        values[_value(shape.key, entry[key_name])] = _value(shape.value, entry[value_name])
    return values


def _in_order(tree: Any) -> list[Any]:
    numbered: dict[int, Any] = {}
    for name, item in tree.items() if isinstance(tree, dict) else [("", tree)]:
        number = natural_number(name)
        if number is None:
            raise Malformed("the elements of a list are numbered from 1")
        numbered[number] = item
    return [numbered[number] for number in sorted(numbered)]
