"""What botocore's model demands of parameters: all violations at once, in AWS's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clary.service.faults import Fault, constraint_violations
from clary.service.protocol.java_patterns import matches
from clary.service.protocol.models import OperationModel, Shape

# What each service calls the error. SageMaker's and whatever is not named: ValidationException.
_CODES = {
    "s3": "InvalidArgument",
    "sts": "ValidationError",
    "iam": "ValidationError",
    "cloudwatch": "ValidationError",
    "logs": "InvalidParameterException",
    "sagemaker-runtime": "ValidationError",
}
# AWS shortens what it quotes.
_QUOTED_CHARACTERS = 1024


def validate(service: str, operation: OperationModel, parameters: Mapping[str, Any]) -> None:
    """Check parameters against the model of their operation.

    Raises:
        Fault: they violate it; the message names every violation.
    """
    shape = operation.input_shape
    if shape is None:
        return
    found = list(_structure(shape, parameters, ""))
    if found:
        fault = constraint_violations(found)
        raise Fault(_CODES.get(service, fault.code), fault.message)


def _structure(shape: Shape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    streaming = shape.serialization.get("payload")
    for name in shape.required_members:
        if value.get(name) is None and not (name == streaming and _is_raw(shape.members[name])):
            yield _violation(None, _joined(path, name), "Member must not be null")
    for name, item in value.items():
        if name == streaming and _is_raw(shape.members[name]):
            continue  # how long a body may be is the operation's to say
        yield from _value(shape.members[name], item, _joined(path, name))


def _value(shape: Shape, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        yield from _structure(shape, value, path)
    elif kind == "list":
        yield from _list(shape, value, path)
    elif kind == "map":
        yield from _map(shape, value, path)
    else:
        for constraint in _broken(shape, value):
            yield _violation(value, path, constraint, secret=shape.metadata.get("sensitive", False))


def _list(shape: Shape, value: list[Any], path: str) -> Iterator[str]:
    for constraint in _length(shape, len(value)):
        yield _violation(value, path, constraint)
    if _is_scalar(shape.member):
        broken = {text: None for item in value for text in _broken(shape.member, item)}
        if broken:
            yield _violation(value, path, "Member must satisfy constraint: " + _bracketed(broken))
        return
    for number, item in enumerate(value, 1):
        yield from _value(shape.member, item, f"{path}.{number}.member")


def _map(shape: Shape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for constraint in _length(shape, len(value)):
        yield _violation(value, path, constraint)
    keys = {text: None for key in value for text in _broken(shape.key, key)}
    if keys:
        yield _violation(value, path, "Map keys must satisfy constraint: " + _bracketed(keys))
    if _is_scalar(shape.value):
        values = {text: None for item in value.values() for text in _broken(shape.value, item)}
        if values:
            constraint = "Map value must satisfy constraint: " + _bracketed(values)
            yield _violation(value, path, constraint)
        return
    for key, item in value.items():
        yield from _value(shape.value, item, f"{path}.{key}.member")


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    """The constraints of a scalar that a value breaks."""
    if isinstance(value, str):
        if shape.enum:
            if value not in shape.enum:
                yield f"Member must satisfy enum value set: {_bracketed(shape.enum)}"
            return
        yield from _length(shape, len(value))
        pattern = shape.metadata.get("pattern")
        if pattern and not matches(pattern, value):
            yield f"Member must satisfy regular expression pattern: {pattern}"
    elif isinstance(value, bytes):
        yield from _length(shape, len(value))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if high is not None and value > high:
            yield f"Member must have value less than or equal to {high}"
        if low is not None and value < low:
            yield f"Member must have value greater than or equal to {low}"


def _length(shape: Shape, length: int) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if high is not None and length > high:
        yield f"Member must have length less than or equal to {high}"
    if low is not None and length < low:
        yield f"Member must have length greater than or equal to {low}"


def _violation(value: Any, path: str, constraint: str, *, secret: bool = False) -> str:
    if secret:
        return f"Value at '{path}' failed to satisfy constraint: {constraint}"
    quoted = "null" if value is None else f"'{_quoted(value)}'"
    return f"Value {quoted} at '{path}' failed to satisfy constraint: {constraint}"


def _quoted(value: Any) -> str:
    if isinstance(value, list):
        text = "[" + ", ".join(_quoted(item) for item in value) + "]"
    elif isinstance(value, dict):
        pairs = (f"{key}={_quoted(item)}" for key, item in value.items())
        text = "{" + ", ".join(pairs) + "}"
    elif isinstance(value, bytes):
        text = f"{len(value)} bytes"
    else:
        text = str(value)
    return text if len(text) <= _QUOTED_CHARACTERS else text[:_QUOTED_CHARACTERS] + "..."


def _joined(path: str, name: str) -> str:
    """Paths are those of AWS's own members: they begin with a small letter."""
    small = name[:1].lower() + name[1:]
    return f"{path}.{small}" if path else small


def _bracketed(texts: Any) -> str:
    return "[" + ", ".join(texts) + "]"


def _is_scalar(shape: Shape) -> bool:
    return shape.type_name not in {"structure", "list", "map"}


def _is_raw(shape: Shape) -> bool:
    return shape.type_name in {"blob", "string"}
