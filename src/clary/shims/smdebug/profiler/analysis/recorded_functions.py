"""Where recorded functions lie: in Clary's timeline, or as SageMaker's profiler keeps them."""

from __future__ import annotations

import pstats
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.formats.timeline.reader import Timeline

from ...core.logger import get_logger
from ..python_profile_utils import PythonProfileModes, StepPhase, str_to_python_profile_mode

# <mode>-<step or *>-<phase>-<microseconds since 1970>
_END = re.compile(r"(?P<mode>[a-z]+)-(?P<step>\d+|\*)-(?P<phase>[a-z]+)-(?P<at>[\d.]+)")


@dataclass(frozen=True)
class StepPythonProfileStats:
    """One recording: from where to where, and its functions as `pstats` holds them."""

    profiler_name: str
    framework: str
    node_id: str
    start_mode: PythonProfileModes
    start_step: float
    start_phase: StepPhase
    start_time_since_epoch_in_micros: float
    end_mode: PythonProfileModes
    end_step: float
    end_phase: StepPhase
    end_time_since_epoch_in_micros: float
    stats_path: str
    functions: dict[Any, Any]


def recorded_functions(folder: Path) -> list[StepPythonProfileStats]:
    """All recordings of a `profiler-output`, or of a folder within it, by their time.

    One of cProfile that is damaged is passed over, which is said.

    Raises:
        FormatError: a timeline is damaged, or of a later version.
        OSError: a file cannot be read.
    """
    found = [*_of_cprofile(folder)] or [*_of_timeline(folder)]
    return sorted(found, key=lambda one: (one.start_time_since_epoch_in_micros, one.node_id))


def _of_cprofile(folder: Path) -> Iterator[StepPythonProfileStats]:
    """`…/<framework>/cprofile/<node>/<begin>_<end>/python_stats`."""
    for path in folder.rglob("python_stats"):
        begin_name, _, end_name = path.parent.name.partition("_")
        begin, end = _END.fullmatch(begin_name), _END.fullmatch(end_name)
        if not path.is_file() or begin is None or end is None:
            continue
        try:
            yield _recording(path, begin, end)
        except (AttributeError, EOFError, TypeError, ValueError) as error:
            get_logger().error("%s is passed over: it is damaged (%s)", path, error)


def _recording(path: Path, begin: re.Match[str], end: re.Match[str]) -> StepPythonProfileStats:
    node = path.parents[1]
    functions = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    return StepPythonProfileStats(
        profiler_name=node.parent.name,
        framework=node.parents[1].name,
        node_id=node.name,
        start_mode=str_to_python_profile_mode(begin["mode"]),
        start_step=-1 if begin["step"] == "*" else int(begin["step"]),
        start_phase=StepPhase(begin["phase"]),
        start_time_since_epoch_in_micros=float(begin["at"]),
        end_mode=str_to_python_profile_mode(end["mode"]),
        end_step=float("inf") if end["step"] == "*" else int(end["step"]),
        end_phase=StepPhase(end["phase"]),
        end_time_since_epoch_in_micros=float(end["at"]),
        stats_path=str(path),
        functions=dict(functions.items()),
    )


def _of_timeline(folder: Path) -> Iterator[StepPythonProfileStats]:
    timeline = Timeline(folder)
    timeline.refresh()
    for worker in timeline.workers.values():
        pid = 0 if worker.facts is None else worker.facts.pid
        node = "algo-1" if worker.facts is None else worker.facts.node
        for window in worker.functions:
            mode = PythonProfileModes(int(window.mode))
            yield StepPythonProfileStats(
                profiler_name="cprofile",
                framework="pytorch",
                node_id=f"{pid}-{node}",
                start_mode=mode,
                start_step=window.first,
                start_phase=StepPhase.STEP_START,
                start_time_since_epoch_in_micros=float(window.start_us),
                end_mode=mode,
                end_step=window.last,
                end_phase=StepPhase.STEP_END,
                end_time_since_epoch_in_micros=window.start_us + window.seconds * 1e6,
                stats_path=str(worker.folder),
                functions={
                    (one.file, one.line, one.name): (
                        one.calls,
                        one.calls,
                        one.self_s,
                        one.total_s,
                        {},
                    )
                    for one in window.functions
                },
            )
