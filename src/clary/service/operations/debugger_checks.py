"""What CreateTrainingJob forbids of the debugger's outputs beyond the service model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clary.errors import ClaryError
from clary.service.executors.mirrors import folder_inside
from clary.service.operations.rule_checks import uri_problems

_FOLDERS = {
    "DebugHookConfig": "output/tensors",
    "TensorBoardOutputConfig": "output/tensorboard",
}


def debugger_problems(request: Mapping[str, Any]) -> Iterator[str]:
    """All that is wrong with what a request says of the debugger's outputs: a sentence each."""
    for member, default in _FOLDERS.items():
        config = request.get(member)
        if config:
            yield from _folder(member, config, default)
    hook = request.get("DebugHookConfig") or {}
    # One name may come several times: SDKs send what a rule asks for beside what a person asks for.
    names = [one.get("CollectionName") for one in hook.get("CollectionConfigurations") or ()]
    if None in names:
        yield "A collection of DebugHookConfig has no CollectionName: name it."


def _folder(member: str, config: Mapping[str, Any], default: str) -> Iterator[str]:
    uri = f"{member}.S3OutputPath"
    yield from (f"{problem}." for problem in uri_problems(uri, config["S3OutputPath"]))
    try:
        folder_inside(Path(), config.get("LocalPath"), default, member)
    except ClaryError as error:
        yield f"{error}."
