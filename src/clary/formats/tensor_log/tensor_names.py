"""Which tensors a log holds, gathered segment by segment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from clary.formats.tensor_log.entries import CollectionRecord, Mode
from clary.formats.tensor_log.layout import worker_order
from clary.formats.tensor_log.segments import Presence


@dataclass(frozen=True)
class Names:
    """What a log holds under one tensor's name, of all workers together.

    `kinds` are `scalar`, `statistics`, `raw`, `shape` and the kinds of units. Steps count all
    modes.
    """

    kinds: frozenset[str]
    modes: frozenset[Mode]
    collections: tuple[str, ...]
    first_step: int
    last_step: int
    workers: tuple[str, ...]


@dataclass(frozen=True)
class Gathered:
    """What the segments so far hold, by name; never changed."""

    by_name: Mapping[str, Names] = field(default_factory=dict)

    def with_segment(self, worker: str, tensors: Mapping[str, Presence]) -> Gathered:
        """Also what a further segment of a worker holds."""
        merged = dict(self.by_name)
        for name, held in tensors.items():
            known = merged.get(name)
            merged[name] = (
                Names(held.kinds, held.modes, (), held.first, held.last, (worker,))
                if known is None
                else _widened(known, worker, held)
            )
        return Gathered(merged)

    def names(self, collections: Iterable[CollectionRecord]) -> Mapping[str, Names]:
        """By name, with the collections that take it."""
        records = tuple(collections)
        return {
            name: replace(held, collections=collections_of(name, records))
            for name, held in self.by_name.items()
        }


def collections_of(name: str, records: Iterable[CollectionRecord]) -> tuple[str, ...]:
    """The collections that take a tensor."""
    return tuple(record.name for record in records if record.takes(name))


def _widened(known: Names, worker: str, held: Presence) -> Names:
    first, last = min(known.first_step, held.first), max(known.last_step, held.last)
    workers = known.workers
    if worker not in workers:
        workers = tuple(sorted((*workers, worker), key=worker_order))
    return Names(known.kinds | held.kinds, known.modes | held.modes, (), first, last, workers)
