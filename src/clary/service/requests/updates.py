"""What of a training job's request is in effect: as it was created, and as it was changed since.

UpdateTrainingJob changes members, which are merged key by key, and adds rules to lists. What it
was told is kept beside the request, which stays as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.service.requests.rule_configurations import ADDED_TOGETHER, MEMBERS

PROFILER = "ProfilerConfig"
RULES = MEMBERS["profiler"]
HAS_BEEN_PROFILED = "HasBeenProfiled"
"""Beside a job's updates: an update has turned the profiler on."""

NOTES = frozenset({ADDED_TOGETHER, HAS_BEEN_PROFILED})
"""What stands beside updates, and is no member of a request."""


def merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Members after a change: an object's keys are replaced one by one, a list is added to."""
    return {**before, **{name: _merge(before.get(name), told) for name, told in changes.items()}}


def is_profiled(request: Mapping[str, Any]) -> bool:
    """Whether the profiler watches a job with this request in effect."""
    config = request.get(PROFILER)
    return config is not None and not config.get("DisableProfiler")


def with_profiler_defaults(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request that says where profiles go: beside the job's outputs, where nothing is said.

    Rules of the profiler turn it on where no ProfilerConfig says anything, as on AWS.
    """
    filled = dict(request)
    if filled.get(RULES) and PROFILER not in filled:
        filled[PROFILER] = {}
    if is_profiled(filled):
        default = {"S3OutputPath": filled["OutputDataConfig"]["S3OutputPath"]}
        filled[PROFILER] = {**default, **filled[PROFILER]}
    return filled


def _merge(before: Any, told: Any) -> Any:
    if isinstance(told, Mapping):
        return {**(before or {}), **told}
    if isinstance(told, list):
        return [*(before or ()), *told]
    return told
