"""Records, put together to requests: as many as fit, or one each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from clary.formats.transform_plan import TransformPlan
from clary.jobs.transform.processing import Processing
from clary.jobs.transform.records import split_records


@dataclass(frozen=True)
class Payload:
    """The body of one request, and the records in it as `Processing.stored` takes them."""

    body: bytes
    sources: tuple[Any, ...]


def payloads(file: BinaryIO, plan: TransformPlan, processing: Processing) -> Iterator[Payload]:
    """The requests that an object becomes, in its order.

    Lines are put together with line feeds between them, frames one behind the other.

    Args:
        file: its content.
        plan: how it is split, and how large a request may be.
        processing: what of a record goes into it.

    Raises:
        ObjectFailure: a record is damaged, too large, or lacks what a filter asks for.
    """
    limit = plan.max_payload_bytes
    if plan.split == "None":
        for whole in split_records(file, plan.split, limit):
            inside = [processing.seen_by_model(one) for one in processing.records_of(whole)]
            yield _payload(inside, b"\n")
        return
    glue = b"\n" if plan.split == "Line" else b""
    held: list[tuple[bytes, Any]] = []
    size = 0
    for record in split_records(file, plan.split, limit):
        body, source = processing.seen_by_model(record)
        grown = size + len(body) + (len(glue) if held else 0)
        full = not plan.several_records or (limit is not None and grown > limit)
        if held and full:
            yield _payload(held, glue)
            held, grown = [], len(body)
        held.append((body, source))
        size = grown
    if held:
        yield _payload(held, glue)


def _payload(records: list[tuple[bytes, Any]], glue: bytes) -> Payload:
    return Payload(glue.join(body for body, _ in records), tuple(source for _, source in records))
