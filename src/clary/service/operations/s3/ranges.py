"""Which bytes of an object a request asks for. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clary.object_store.objects import ObjectInfo
from clary.service.faults import Fault
from clary.service.operations.s3.faults import invalid_argument, invalid_request

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,20})\s*-\s*(\d{0,20})\s*", re.ASCII | re.IGNORECASE)
_COPY_RANGE = re.compile(r"bytes=(\d{1,20})-(\d{1,20})", re.ASCII)


@dataclass(frozen=True)
class Span:
    """Bytes `begin` to `end` (exclusive) of an object of `whole` bytes."""

    begin: int
    end: int
    whole: int

    @property
    def length(self) -> int:
        """How many bytes that are."""
        return self.end - self.begin

    @property
    def content_range(self) -> str:
        """The header of an answer with a part of the object."""
        return f"bytes {self.begin}-{self.end - 1}/{self.whole}"


def find_span(info: ObjectInfo, wanted: str | None, part: int | None) -> Span | None:
    """The part of an object that is asked for; None for all of it.

    Several ranges at once and words that are no range ask for all of it, as in S3.

    Raises:
        Fault: it lies behind the end, or there is no such part.
    """
    if wanted is not None and part is not None:
        raise invalid_request("Cannot specify both Range header and partNumber query parameter")
    if part is not None:
        return _part_span(info, part)
    matched = _RANGE.fullmatch(wanted or "")
    if matched is None or matched[1] == matched[2] == "":
        return None
    size = info.size
    if matched[1]:
        begin = int(matched[1])
        end = min(int(matched[2]) + 1, size) if matched[2] else size
        if matched[2] and int(matched[2]) < begin:
            return None
    else:
        begin, end = max(0, size - int(matched[2])), size
    if begin >= size:
        raise Fault(
            "InvalidRange",
            "The requested range is not satisfiable",
            416,
            members={"RangeRequested": wanted, "ActualObjectSize": size},
            headers={"content-range": f"bytes */{size}"},
        )
    return Span(begin, end, size)


def find_copy_span(info: ObjectInfo, wanted: str) -> Span:
    """The part of a source that UploadPartCopy asks for.

    Raises:
        Fault: it is no range, or not within the source.
    """
    matched = _COPY_RANGE.fullmatch(wanted)
    if matched is None or int(matched[1]) > int(matched[2]):
        raise invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first "
            "and last are the zero-based offsets of the first and last bytes to copy",
            "x-amz-copy-source-range",
            wanted,
        )
    if int(matched[2]) >= info.size:
        raise invalid_argument(
            f"Range specified is not valid for source object of size: {info.size}",
            "x-amz-copy-source-range",
            wanted,
        )
    return Span(int(matched[1]), int(matched[2]) + 1, info.size)


def _part_span(info: ObjectInfo, part: int) -> Span | None:
    sizes = [known.size for known in info.description.parts] or [info.size]
    if not 1 <= part <= len(sizes):
        raise Fault("InvalidPartNumber", "The requested partnumber is not satisfiable", 416)
    begin = sum(sizes[: part - 1])
    # An empty object has no byte that a range could name.
    return Span(begin, begin + sizes[part - 1], info.size) if info.size else None
