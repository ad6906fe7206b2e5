"""What the machines did while a job ran, as curves over its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...algorithm_metrics_reader import AlgorithmMetricsReader
from ...conversions import TimeUnits, us_since_epoch_to_human_readable_time
from ...profiler_constants import PT_DATALOADER_WORKER
from ...system_metrics_reader import SystemMetricsReader
from ...trace_event_file_parser import TraceEvent
from ..libraries import library
from .detail_chart import draw_detail
from .marks import Band, bands_of
from .picture import BLUE, INK, QUIET, Picture, labelled, new_figure, plain
from .system_series import TOTAL, Series, grouped, selected, title_of, unit_of

_MOST, _MOST_NAMED = 60, 25
_HEAD, _EACH = 100, 116
_WIDTH = 1000


class TimelineCharts:
    """A curve for each metric that is chosen, below each other. One thread uses it.

    The numbers above the first one count the samples, as `find_time_annotations` and
    `plot_detailed_profiler_data` take them. With a reader of steps, evaluations and checkpoints
    are shaded.
    """

    def __init__(  # noqa: PLR0917 - AWS's arguments
        self,
        system_metrics_reader: SystemMetricsReader,
        framework_metrics_reader: AlgorithmMetricsReader | None = None,
        starttime: float = 0,
        endtime: float | None = None,
        select_dimensions: Sequence[str] = (".*",),
        select_events: Sequence[str] = (".*",),
        x: int | None = None,
        show_workers: bool = True,
    ) -> None:
        """Draw what there is.

        Args:
            system_metrics_reader: `TrainingJob.get_systems_metrics_reader()`.
            framework_metrics_reader: `TrainingJob.get_framework_metrics_reader()`, or None.
            starttime: in microseconds since 1970.
            endtime: in microseconds since 1970; None for the latest there is.
            select_dimensions: regular expressions, such as `["CPU", "GPU"]`.
            select_events: regular expressions of names, such as `["total"]` or `["cpu0"]`.
            x: how many of the latest samples are drawn; None for all.
            show_workers: each host by itself, or all as one.

        Raises:
            ImportError: there is no matplotlib.
        """
        self.system_metrics_reader = system_metrics_reader
        self.framework_metrics_reader = framework_metrics_reader
        self.starttime = starttime
        self.select_dimensions = select_dimensions
        self.select_events = select_events
        self.show_workers = show_workers
        self.width = x
        self.system_metrics: dict[str, dict[str, Series]] = {}
        self._picture = Picture()
        self._details = Picture()
        self.update_data(
            system_metrics_reader.get_timestamp_of_latest_available_file()
            if endtime is None
            else endtime
        )

    @property
    def figure(self) -> Any:
        """The figure, of matplotlib's; None where nothing was chosen."""
        return self._picture.figure

    def update_data(self, current_timestamp: float) -> None:
        """Draw anew, in the same place, with what came up to a moment.

        Args:
            current_timestamp: in microseconds since 1970, such as
                `system_metrics_reader.get_timestamp_of_latest_available_file()`.

        Raises:
            ImportError: there is no matplotlib.
        """
        self.last_timestamp_system_metrics = current_timestamp
        events = self.system_metrics_reader.get_events(self.starttime, current_timestamp)
        self.system_metrics = grouped(events, self.show_workers)
        rows = selected(self.system_metrics, self.select_dimensions, self.select_events)
        if rows:
            self._picture.show(self._drawn(rows))

    def find_time_annotations(self, indexes: Sequence[int]) -> None:
        """Print what the training spent its time on between the first and last of some samples.

        Args:
            indexes: numbers of samples, such as `[120, 180]`.
        """
        window = self._window(indexes)
        if window is None:
            return
        begin, end = window
        spent: dict[str, tuple[float, int]] = {}
        for one in self._framework_events(begin, end):
            if one.event_phase == PT_DATALOADER_WORKER:
                continue  # as long as the worker lives
            name = _said(one)
            seconds, count = spent.get(name, (0.0, 0))
            inside = min(end, one.end_time / 1e6) - max(begin, one.start_time / 1e6)
            spent[name] = (seconds + inside, count + one.steps)
        if not spent:
            print("Nothing of the training was recorded in this time")
        most_first = sorted(spent.items(), key=lambda item: -item[1][0])
        for name, (seconds, count) in most_first[:_MOST_NAMED]:
            times = f", {count} times" if count > 1 else ""
            print(f"Spent {1000 * seconds:.1f} ms (cumulative time) in {name}{times}")
        rest = most_first[_MOST_NAMED:]
        if rest:
            most = 1000 * rest[0][1][0]
            print(f"… and in {len(rest)} others, {most:.1f} ms in each at most")

    def plot_detailed_profiler_data(self, indexes: Sequence[int]) -> None:
        """Draw what loaders and training did between the first and last of some samples.

        Args:
            indexes: numbers of samples, such as `[700, 710]`.

        Raises:
            ImportError: there is no matplotlib.
        """
        window = self._window(indexes)
        if window is not None:
            events = self._framework_events(*window)
            if events:
                self._details.show(draw_detail(events, *window))
            else:
                print("Nothing of the training was recorded in this time")

    def _window(self, indexes: Sequence[int]) -> tuple[float, float] | None:
        """Of samples, in seconds since 1970; says why there is none."""
        if not len(indexes):
            print("No selection made")
            return None
        if self.framework_metrics_reader is None:
            print(
                "These charts have no steps: give TimelineCharts the reader that "
                "get_framework_metrics_reader() gives"
            )
            return None
        clock = self._clock()
        if not len(clock):
            print("There are no samples yet")
            return None
        first, last = (int(np.clip(pick(indexes), 0, len(clock) - 1)) for pick in (min, max))
        begin, end = clock[first, 0], clock[last, 0]
        print(
            f"Selected timerange: {us_since_epoch_to_human_readable_time(begin * 1e6)} to "
            f"{us_since_epoch_to_human_readable_time(end * 1e6)} UTC"
        )
        return float(begin), float(end)

    def _framework_events(self, begin: float, end: float) -> list[Any]:
        assert self.framework_metrics_reader is not None
        return self.framework_metrics_reader.get_events(begin, end, unit=TimeUnits.SECONDS)

    def _clock(self) -> Series:
        """The series whose samples are counted: the cores' of the first host."""
        for dimension, held in self.system_metrics.items():
            if dimension.startswith("CPUUtilization"):
                return held[TOTAL]
        return next(iter(next(iter(self.system_metrics.values()), {}).values()), np.empty((0, 2)))

    def _drawn(self, rows: Sequence[tuple[str, str, Series]]) -> Any:
        if len(rows) > _MOST:
            print(
                f"{_MOST} of {len(rows)} metrics are drawn: choose by select_dimensions and "
                "select_events"
            )
            rows = rows[:_MOST]
        figure = new_figure(_WIDTH, _HEAD + _EACH * len(rows))
        all_axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
        start = min(series[0, 0] for _, _, series in rows)
        shown = [series if self.width is None else series[-self.width :] for *_, series in rows]
        bands = self._bands(
            min(series[0, 0] for series in shown), max(series[-1, 0] for series in shown)
        )
        for axes, (dimension, name, _), series in zip(all_axes, rows, shown, strict=True):
            plain(axes, title_of(dimension, name))
            _draw_curve(axes, series, start, unit_of(dimension, name))
            for band in bands:
                axes.axvspan(
                    band.begin - start, band.end - start, color=band.colour, alpha=0.16, lw=0
                )
        clock = us_since_epoch_to_human_readable_time(start * 1e6)[11:19]
        labelled(all_axes[-1], f"seconds since {clock} UTC")
        self._count_samples(all_axes[0], start)
        _name_bands(figure, bands)
        return figure

    def _bands(self, begin: float, end: float) -> list[Band]:
        if self.framework_metrics_reader is None:
            return []
        return bands_of(self._framework_events(begin, end), begin, end)

    def _count_samples(self, axes: Any, start: float) -> None:
        clock = self._clock()
        if len(clock) < 2:
            return
        moments, numbers = clock[:, 0] - start, np.arange(len(clock), dtype=np.float64)
        counted = axes.secondary_xaxis(
            "top",
            functions=(
                lambda second: _interpolated(second, moments, numbers),
                lambda number: _interpolated(number, numbers, moments),
            ),
        )
        counted.tick_params(labelsize=8, colors=QUIET, length=3)
        counted.spines["top"].set_visible(False)
        counted.xaxis.set_major_locator(
            library("matplotlib.ticker", "charts").MaxNLocator(10, integer=True)
        )
        counted.set_xlabel("sample", fontsize=8.5, color=QUIET, loc="right")


def _said(one: TraceEvent) -> str:
    """The name of an event, and what it belongs to where it does not say so."""
    name, phase = one.event_name, one.event_phase
    if name in phase or phase in name or "DataLoader" in phase:
        return name
    return f"{phase} ({name})"


def _interpolated(values: Any, known: Any, wanted: Any) -> Any:
    """Linear, and beyond both ends as between the first and the last: scales must be monotonic."""
    values = np.asarray(values, dtype=np.float64)
    slope = (wanted[-1] - wanted[0]) / ((known[-1] - known[0]) or 1.0)
    below = wanted[0] + (values - known[0]) * slope
    above = wanted[-1] + (values - known[-1]) * slope
    inside = np.interp(values, known, wanted)
    return np.where(values < known[0], below, np.where(values > known[-1], above, inside))


def _draw_curve(axes: Any, series: Series, start: float, unit: str) -> None:
    moments, values = series[:, 0] - start, series[:, 1]
    if len(moments) == 1:
        axes.plot(moments, values, "o", color=BLUE, markersize=4)
    axes.plot(moments, values, color=BLUE, linewidth=1.1)
    axes.fill_between(moments, values, color=BLUE, alpha=0.12, linewidth=0)
    if unit == "%":
        axes.set_ylim(0, 102)
        axes.set_yticks([0, 50, 100])
    else:
        axes.set_ylim(bottom=min(0.0, float(values.min())))
        ticker = library("matplotlib.ticker", "charts")
        if not unit.startswith("%"):
            axes.yaxis.set_major_formatter(ticker.EngFormatter(unit=unit))
        axes.yaxis.set_major_locator(ticker.MaxNLocator(3))
    labelled(axes, upward=unit if unit.startswith("%") else "")


def _name_bands(figure: Any, bands: Sequence[Band]) -> None:
    named = {band.label: band.colour for band in bands}
    if named:
        patch = library("matplotlib.patches", "charts").Patch
        figure.legend(
            handles=[patch(color=colour, alpha=0.3, label=name) for name, colour in named.items()],
            loc="outside upper right",
            ncols=len(named),
            fontsize=8.5,
            labelcolor=INK,
            frameon=False,
        )
