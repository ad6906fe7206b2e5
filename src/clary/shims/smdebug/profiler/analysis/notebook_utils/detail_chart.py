"""What loaders and training did in a short time, as bars beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...conversions import us_since_epoch_to_human_readable_time
from ...profiler_constants import PT_DATALOADER_ITER, PT_DATALOADER_WORKER
from ...timeline_events import BATCH
from ...trace_event_file_parser import TraceEvent, phase_rank
from .picture import PALETTE, labelled, new_figure, plain

_MOST = 20_000
_ROW, _REST, _WIDTH = 24, 90, 1000


def draw_detail(events: Sequence[TraceEvent], begin: float, end: float) -> Any:
    """A figure of two parts: each loader's worker, and each phase of the training.

    Args:
        events: what was in the time.
        begin: in seconds since 1970.
        end: in seconds since 1970.

    Raises:
        ImportError: there is no matplotlib.
    """
    if len(events) > _MOST:
        print(f"The first {_MOST} of {len(events)} events are drawn: choose a shorter time")
        events = events[:_MOST]
    loading: dict[str, list[TraceEvent]] = {}
    training: dict[str, list[TraceEvent]] = {}
    has_batches = any(one.event_phase == BATCH for one in events)
    for one in events:
        if one.event_phase == PT_DATALOADER_WORKER and has_batches:
            continue  # as long as the worker lives
        if "worker_id" in (one.event_args or {}) and one.event_phase != PT_DATALOADER_ITER:
            worker = int((one.event_args or {})["worker_id"])
            name = "in the training itself" if worker < 0 else f"worker {worker}"
            loading.setdefault(name, []).append(one)
        else:
            training.setdefault(one.event_phase, []).append(one)
    training = {phase: training[phase] for phase in sorted(training, key=phase_rank)}
    parts = [
        (title, rows) for title, rows in (("data loading", loading), ("training", training)) if rows
    ]
    heights = [_ROW * len(rows) + _REST for _, rows in parts]
    figure = new_figure(_WIDTH, sum(heights))
    all_axes = figure.subplots(len(parts), 1, sharex=True, squeeze=False, height_ratios=heights)[
        :, 0
    ]
    for axes, (title, rows) in zip(all_axes, parts, strict=True):
        plain(axes, title)
        for place, name in enumerate(rows):
            bars = [((one.start_time / 1e6) - begin, one.duration / 1e6) for one in rows[name]]
            axes.broken_barh(
                bars,
                (place - 0.36, 0.72),
                facecolor=PALETTE[place % len(PALETTE)],
                edgecolor="white",
                linewidth=0.3,
            )
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, max(end - begin, 1e-6))
    clock = us_since_epoch_to_human_readable_time(begin * 1e6)[11:]
    labelled(all_axes[-1], f"seconds since {clock} UTC")
    return figure
