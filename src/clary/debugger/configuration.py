"""What a hook captures and when, also as SageMaker's `debughookconfig.json` says it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clary.debugger.collection import LOSSES, Collection
from clary.debugger.parameters import expressions, flag
from clary.debugger.reductions import PARAMETERS as REDUCTION_PARAMETERS
from clary.debugger.reductions import Reductions
from clary.debugger.schedule import MODE_PREFIXES, Schedule
from clary.debugger.schedule import PARAMETERS as SCHEDULE_PARAMETERS
from clary.errors import FormatError, UsageError
from clary.formats.files import read_json

CONFIGURATION_VARIABLE = "SMDEBUG_CONFIG_FILE_PATH"
DEFAULT_PATH = Path("/opt/ml/input/config/debughookconfig.json")
DEFAULT_FOLDER = Path("/opt/ml/output/tensors")

_SCHEDULE_NAMES = {
    *SCHEDULE_PARAMETERS,
    *(f"{prefix}.{name}" for prefix in MODE_PREFIXES for name in SCHEDULE_PARAMETERS),
}
_COLLECTION_NAMES = {"include_regex", *REDUCTION_PARAMETERS, *_SCHEDULE_NAMES}
_HOOK_NAMES = {
    "dry_run",
    "save_all",
    "include_workers",
    "export_tensorboard",
    "tensorboard_dir",
    *_COLLECTION_NAMES,
}


@dataclass(frozen=True)
class HookConfiguration:
    """What a hook captures and when.

    Args:
        collections: what is captured; `losses` always is. One name may come several times: what
            it holds is captured when one of them is due.
        schedule: of collections that have none of their own.
        reductions: of collections that have none of their own.
        folder: where the tensor log is written; None leaves it to the hook's caller.
        include_workers: `one` captures in the first process of several alone, `all` in each.
        dry_run: capture nothing.

    Raises:
        UsageError: `include_workers` is something else than `one` or `all`.
    """

    collections: tuple[Collection, ...] = ()
    schedule: Schedule = field(default_factory=Schedule)
    reductions: Reductions = field(default_factory=Reductions)
    folder: Path | None = None
    include_workers: str = "one"
    dry_run: bool = False

    def __post_init__(self) -> None:
        collections = tuple(self.collections)
        names = [collection.name for collection in collections]
        if LOSSES not in names:
            collections = (Collection(LOSSES), *collections)
        object.__setattr__(self, "collections", collections)
        if self.include_workers not in {"one", "all"}:
            raise UsageError(f"include_workers is {self.include_workers!r}: give one or all")

    def schedule_of(self, collection: Collection) -> Schedule:
        """When a collection is captured."""
        return collection.schedule or self.schedule

    def reductions_of(self, collection: Collection) -> Reductions:
        """What is kept of a collection."""
        return collection.reductions or self.reductions

    @classmethod
    def read(cls, path: Path | None = None) -> HookConfiguration:
        """Read SageMaker's file.

        Args:
            path: of the file; None takes `SMDEBUG_CONFIG_FILE_PATH`, or where SageMaker puts it.

        Raises:
            UsageError: a parameter is unknown, or its value cannot be used.
            FormatError: the file is missing or damaged.
        """
        path = path or Path(os.environ.get(CONFIGURATION_VARIABLE) or DEFAULT_PATH)
        content = read_json(path)
        if not isinstance(content, dict):
            raise FormatError(f"{path} is not a JSON object: start the job again")
        return cls.parse(content)

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> HookConfiguration:
        """From SageMaker's `DebugHookConfig`.

        Raises:
            UsageError: a parameter is unknown, or its value cannot be used.
        """
        given = _parameters(content.get("HookParameters"), "HookParameters", _HOOK_NAMES)
        schedule = Schedule().changed(given)
        reductions = Reductions.parse(given)
        entries = content.get("CollectionConfigurations") or []
        if not isinstance(entries, list):
            raise UsageError(f"CollectionConfigurations is {entries!r}: give a list of objects")
        collections = [_collection(entry, schedule, reductions) for entry in entries]
        names = {collection.name for collection in collections}
        if flag("save_all", given.get("save_all", False)) and "all" not in names:
            collections.append(Collection("all"))
        included = expressions("include_regex", given.get("include_regex", ""))
        if included and "default" not in names:
            collections.append(Collection("default", included))
        folder = content.get("LocalPath")
        if folder is not None and not isinstance(folder, str):
            raise UsageError(f"LocalPath is {folder!r}: give the path of a folder")
        return cls(
            tuple(collections),
            schedule=schedule,
            reductions=reductions,
            folder=Path(folder) if folder else DEFAULT_FOLDER,
            include_workers=given.get("include_workers", "one"),
            dry_run=flag("dry_run", given.get("dry_run", False)),
        )


def _collection(entry: Any, schedule: Schedule, reductions: Reductions) -> Collection:
    name = entry.get("CollectionName") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name:
        raise UsageError(f"a collection has no CollectionName: {entry!r}")
    given = _parameters(
        entry.get("CollectionParameters"), f"the collection {name!r}", _COLLECTION_NAMES
    )
    included = expressions(f"include_regex of {name}", given.get("include_regex", ""))
    return Collection(
        name,
        included,
        schedule=schedule.changed(given),
        reductions=Reductions.parse(given, reductions),
        parameters=given,
    )


def _parameters(given: Any, owner: str, known: set[str]) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise UsageError(f"{owner} is {given!r}: give an object of texts")
    for name in given:
        if name not in known:
            raise UsageError(
                f"{owner} has the parameter {name!r}, which is unknown: choose among "
                f"{', '.join(sorted(known - _SCHEDULE_NAMES))}, {', '.join(SCHEDULE_PARAMETERS)} "
                f"(with {', '.join(f'{prefix}.' for prefix in MODE_PREFIXES)} before it for a mode)"
            )
    return {str(name): str(value) for name, value in given.items()}
