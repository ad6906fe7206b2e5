"""Where the time of a training went: written beside it, read by whoever explains it.

    profiler/system/incremental/<YYYYMMDDHH>/<minute>.<node>.json   `clary.formats.system_metrics`
    profiler/timeline/<worker>/facts.json          `Facts`: what is trained, on what, how it loads
    profiler/timeline/<worker>/steps-<n>.bin       `StepRecord`s, one after the other
    profiler/timeline/<worker>/spans-<n>.jsonl     `Span`s: what takes its time beside the steps
    profiler/timeline/<worker>/loads-<pid>-<n>.bin `LoadRecord`s: batches as a loader made them
    profiler/timeline/<worker>/operators-<first>-<last>.json   `Operators` of chosen steps
    profiler/timeline/<worker>/trace-<first>-<last>.json.gz    their Chrome trace
    profiler/timeline/<worker>/functions-<first>-<last>.json   `Functions` of chosen steps
    profiler/timeline/<worker>/failures.jsonl      what went wrong with the watching itself

`profiler` is the folder of one host of a job. The writer's side needs the standard library alone:
it runs in anybody's training. Format version 1; see `docs/formats/timeline.md`.
"""

from clary.formats.timeline.entries import (
    PHASES,
    Facts,
    Loading,
    LoadRecord,
    Mode,
    Span,
    SpanKind,
    StepRecord,
)
from clary.formats.timeline.writer import LoadWriter, TimelineWriter

__all__ = [
    "PHASES",
    "Facts",
    "LoadRecord",
    "LoadWriter",
    "Loading",
    "Mode",
    "Span",
    "SpanKind",
    "StepRecord",
    "TimelineWriter",
]
