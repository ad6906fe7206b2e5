"""The rules for tags of objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from clary.service.faults import Fault
from clary.service.operations.s3.faults import invalid_argument

_MOST = 10
_KEY_CHARACTERS = 128
_VALUE_CHARACTERS = 256


def tags_of_header(header: str | None) -> dict[str, str]:
    """Tags of the header `x-amz-tagging`, which is written like a query.

    Raises:
        Fault: they break S3's rules.
    """
    if not header:
        return {}
    try:
        pairs = parse_qsl(header, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise invalid_argument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query "
            "parameters without tag name duplicates.",
            "x-amz-tagging",
            header,
        ) from error
    return _checked(pairs)


def tags_of_set(tag_set: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Tags of a `TagSet`.

    Raises:
        Fault: they break S3's rules.
    """
    return _checked([(tag["Key"], tag["Value"]) for tag in tag_set])


def _checked(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    if len(pairs) > _MOST:
        raise Fault("BadRequest", f"Object tags cannot be greater than {_MOST}")
    tags = dict(pairs)
    if len(tags) != len(pairs):
        raise Fault("InvalidTag", "Cannot provide multiple Tags with the same key")
    for key, value in pairs:
        if not 1 <= len(key) <= _KEY_CHARACTERS:
            raise Fault("InvalidTag", "The TagKey you have provided is invalid")
        if len(value) > _VALUE_CHARACTERS:
            raise Fault("InvalidTag", "The TagValue you have provided is invalid")
    return tags
