"""What CreateTrainingJob and UpdateTrainingJob forbid of the profiler beyond the service model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clary.errors import UsageError
from clary.formats.profiler_configuration import DEFAULT_FOLDER, ProfilerConfiguration
from clary.service.operations.rule_checks import uri_problems
from clary.service.requests.updates import PROFILER, RULES, is_profiled


def profiler_problems(request: Mapping[str, Any], *, judged: bool) -> Iterator[str]:
    """All that is wrong with what a request says of the profiler: a sentence each.

    Args:
        request: as it is in effect.
        judged: whether rules are asked for, which judge a profile.
    """
    config = request.get(PROFILER)
    if config is None:
        return
    if "S3OutputPath" in config:
        problems = uri_problems(f"{PROFILER}.S3OutputPath", config["S3OutputPath"])
        yield from (f"{problem}." for problem in problems)
    try:
        folder = ProfilerConfiguration.from_request(config).folder
    except UsageError as error:
        yield from (f"{PROFILER}: {line}." for line in str(error).splitlines())
    else:
        if folder not in {None, DEFAULT_FOLDER}:
            yield (
                f"{PROFILER}: LocalPath is {folder}, and Clary writes profiles to "
                f"{DEFAULT_FOLDER}: leave it out."
            )
    if judged and not is_profiled(request):
        yield (
            f"{RULES} need a profile to judge, and {PROFILER} has DisableProfiler true: set it to "
            "false, or leave the rules out."
        )
