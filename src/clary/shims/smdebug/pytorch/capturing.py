"""What a hook captures, from AWS's terms to Clary's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from clary.debugger.collection import BUILT_IN, LOSSES
from clary.debugger.collection import Collection as Captured
from clary.debugger.configuration import HookConfiguration
from clary.debugger.reductions import Reductions
from clary.debugger.schedule import Schedule

from ..core.collection import CollectionKeys
from ..core.logger import get_logger
from ..core.reduction_config import ReductionConfig
from ..core.save_config import SaveConfig
from ..exceptions import InvalidCollectionConfiguration
from .collection import Collection

_WHOLE = Reductions(raw=True)
# Collections of numbers, which are never reduced.
_NUMBERS = (CollectionKeys.LOSSES, CollectionKeys.METRICS, CollectionKeys.SM_METRICS)


def configuration(
    collections: Mapping[str, Collection],
    included: Iterable[str],
    paths: Mapping[Any, str],
    *,
    save_config: SaveConfig,
    reduction_config: ReductionConfig | None,
    parsed: HookConfiguration,
    histograms: bool = False,
) -> HookConfiguration:
    """What the hook captures and when.

    Args:
        collections: all that it has, by name.
        included: the names of those that are saved.
        paths: the paths of watched modules.
        save_config: when collections are saved that do not say it themselves.
        reduction_config: what is kept of them; None as `parsed` says.
        parsed: the rest, and what a configuration file has said.
        histograms: whether distributions are kept, for TensorBoard.

    Raises:
        InvalidCollectionConfiguration: a collection could hold nothing.
        UsageError: an expression cannot be compiled.
    """
    names = set(included)
    if CollectionKeys.ALL in names:
        names |= set(collections)
    default = parsed.reductions if reduction_config is None else reduction_config.kept()
    found: list[Captured] = []
    for name in [LOSSES, *sorted(names - {LOSSES})]:
        collection = collections[name]
        expressions = collection.expressions(paths)
        if not (expressions or collection.tensor_names or name in BUILT_IN):
            raise InvalidCollectionConfiguration(name)
        found += [
            Captured(
                name,
                tuple(one for one in expressions if one not in BUILT_IN.get(name, ())),
                tuple(sorted(collection.tensor_names)),
                schedule=_schedule(collection, said, save_config),
                reductions=_kept(collection, said, default, histograms=histograms),
                parameters=said.parameters if said else {},
            )
            for said in collection.captured or (None,)
        ]
    for name in sorted(set(collections) - names):
        if collections[name].modules or (name not in BUILT_IN and collections[name].include_regex):
            get_logger().warning(
                "the collection %r is not saved: name it in include_collections", name
            )
    return HookConfiguration(
        tuple(found),
        schedule=parsed.schedule,
        reductions=parsed.reductions,
        folder=parsed.folder,
        include_workers=parsed.include_workers,
        dry_run=parsed.dry_run,
    )


def from_script(out_dir: str | Path, *, dry_run: bool, include_workers: str) -> HookConfiguration:
    """The part of a configuration that collections do not say.

    Raises:
        UsageError: `include_workers` is something else than `one` or `all`.
    """
    return HookConfiguration(
        reductions=_WHOLE,
        folder=Path(out_dir).expanduser(),
        include_workers=include_workers,
        dry_run=dry_run,
    )


def _schedule(collection: Collection, said: Captured | None, save_config: SaveConfig) -> Schedule:
    if collection.save_config is not None:
        return collection.save_config.schedule(save_config)
    if said is not None and said.schedule is not None:
        return said.schedule
    return save_config.schedule()


def _kept(
    collection: Collection, said: Captured | None, default: Reductions, *, histograms: bool
) -> Reductions:
    if collection.name in _NUMBERS:
        return _WHOLE
    if collection.reduction_config is not None:
        kept = collection.reduction_config.kept()
    elif said is not None and said.reductions is not None:
        kept = said.reductions
    else:
        kept = default
    return replace(kept, histogram=True) if histograms and collection.save_histogram else kept
