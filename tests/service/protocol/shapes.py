"""Values for any shape of a service model, for property tests."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from botocore.model import Shape
from hypothesis import strategies as st

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# What XML 1.0 can carry.
XML_TEXT = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"
    ),
    max_size=12,
)
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
# Proxies and servers strip spaces around header values, and AWS sends ASCII only.
HEADER_TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1).filter(
    lambda key: key.strip() == key
)


class Values:
    """Builds strategies for one protocol."""

    def __init__(self, *, text: st.SearchStrategy[str], empty: bool, seconds: bool) -> None:
        """Which text the protocol carries, empty collections, and fractions of a second."""
        self.text = text
        self.empty = empty
        self.step = timedelta(seconds=1) if seconds else timedelta(milliseconds=1)

    def of(self, shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
        location = shape.serialization.get("location")
        if location in {"header", "headers"}:
            return self._in_header(shape)
        if shape.type_name == "structure":
            return self.structure(shape, depth)
        if shape.type_name == "list":
            least = 0 if self.empty else 1
            return st.lists(self.of(shape.member, depth + 1), min_size=least, max_size=3)
        if shape.type_name == "map":
            least = 0 if self.empty else 1
            keys, values = self.of(shape.key, depth + 1), self.of(shape.value, depth + 1)
            return st.dictionaries(keys.filter(bool), values, min_size=least, max_size=3)
        return self._scalar(shape, self.text)

    def structure(self, shape: Shape, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
        required: dict[str, Any] = {}
        optional: dict[str, Any] = {}
        names = list(shape.members)
        if getattr(shape, "is_tagged_union", False):
            return st.sampled_from(names).flatmap(
                lambda name: self.of(shape.members[name], depth + 1).map(lambda v: {name: v})
            )
        for name in names:
            member = shape.members[name]
            if name == raw_payload(shape):
                continue
            if name in shape.required_members or member.serialization.get("location") == "uri":
                required[name] = member
            elif depth < 4:
                optional[name] = member
        return _some(self, required, optional, depth)

    def _in_header(self, shape: Shape) -> st.SearchStrategy[Any]:
        if shape.type_name == "map":
            names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=8)
            return st.dictionaries(names, HEADER_TEXT, min_size=1, max_size=3)
        if shape.type_name == "list":
            inner = self._scalar(
                shape.member, HEADER_TEXT.filter(lambda t: not set(t) & set('",\\'))
            )
            return st.lists(inner, min_size=1, max_size=3)
        if shape.type_name == "timestamp":
            return self._moments(timedelta(seconds=1))
        return self._scalar(shape, HEADER_TEXT)

    def _scalar(self, shape: Shape, text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
        kind = shape.type_name
        if kind in {"string", "character"}:
            if shape.serialization.get("jsonvalue") and shape.serialization.get("location"):
                return st.none() | st.integers() | ANY_TEXT
            return st.sampled_from(shape.enum) if shape.enum else text
        if kind == "integer":
            return st.integers(-(2**31), 2**31 - 1)
        if kind == "long":
            return st.integers(-(2**53), 2**53)
        if kind in {"float", "double"}:
            return st.floats(allow_nan=False, width=32)
        if kind == "boolean":
            return st.booleans()
        if kind == "blob":
            return st.binary(max_size=12)
        assert kind == "timestamp", kind
        form = shape.serialization.get("timestampFormat")
        return self._moments(timedelta(seconds=1) if form == "rfc822" else self.step)

    @staticmethod
    def _moments(step: timedelta) -> st.SearchStrategy[datetime]:
        most = int(timedelta(days=365 * 100) / step)
        return st.integers(0, most).map(lambda number: EPOCH + number * step)


@st.composite
def _some(
    draw: st.DrawFn,
    values: Values,
    required: dict[str, Shape],
    optional: dict[str, Shape],
    depth: int,
) -> dict[str, Any]:
    names = list(required)
    if optional:
        most = 3 if depth == 0 else 2
        names += draw(st.lists(st.sampled_from(list(optional)), unique=True, max_size=most))
    shapes = {**required, **optional}
    return {name: draw(values.of(shapes[name], depth + 1)) for name in names}


def raw_payload(shape: Shape | None) -> str:
    """The member that is the body itself, byte for byte; "" when there is none."""
    name: str = shape.serialization.get("payload", "") if shape is not None else ""
    return name if name and shape.members[name].type_name in {"blob", "string"} else ""


def without_empty(value: Any) -> Any:
    """A value without the structures that hold nothing, which forms and XML cannot tell."""
    if isinstance(value, dict):
        kept = {name: without_empty(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in ({}, [])}
    if isinstance(value, list):
        return [item for item in map(without_empty, value) if item not in ({}, [])]
    return value
