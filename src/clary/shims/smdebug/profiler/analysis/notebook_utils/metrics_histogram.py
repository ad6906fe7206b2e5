"""How often which value of a system metric was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...system_metrics_reader import SystemMetricsReader
from ..libraries import library
from .picture import BLUE, INK, Picture, grid_of, labelled, plain
from .system_series import Series, grouped, selected, title_of, unit_of

_PERCENT = np.arange(0.0, 100.1, 2.0)
_BINS = 50
_MOST = 60


class MetricsHistogram:
    """A histogram for each metric that is chosen. One thread uses it."""

    def __init__(self, metrics_reader: SystemMetricsReader) -> None:
        """Nothing is drawn before `plot`.

        Args:
            metrics_reader: `TrainingJob.get_systems_metrics_reader()`.
        """
        self.metrics_reader = metrics_reader
        self._asked: tuple[float, Sequence[str], Sequence[str], bool]
        self._asked = (0, (".*",), (".*",), True)
        self.clear()

    @property
    def figure(self) -> Any:
        """The figure, of matplotlib's; None before `plot`, or where nothing was chosen."""
        return self._picture.figure

    def clear(self) -> None:
        """Forget what was drawn; the next picture gets a place of its own."""
        self.system_metrics: dict[str, dict[str, Series]] = {}
        self._picture = Picture()

    def plot(
        self,
        starttime: float = 0,
        endtime: float | None = None,
        select_dimensions: Sequence[str] = (".*",),
        select_events: Sequence[str] = (".*",),
        show_workers: bool = True,
    ) -> None:
        """Draw the metrics of a time.

        Args:
            starttime: in microseconds since 1970.
            endtime: in microseconds since 1970; None for the latest there is.
            select_dimensions: regular expressions, such as `["CPU", "GPU"]`.
            select_events: regular expressions of names, such as `["total"]`.
            show_workers: each host by itself, or all as one.

        Raises:
            ImportError: there is no matplotlib.
        """
        self._asked = (starttime, select_dimensions, select_events, show_workers)
        self.update_data(
            self.metrics_reader.get_timestamp_of_latest_available_file()
            if endtime is None
            else endtime
        )

    def update_data(self, current_timestamp: float) -> None:
        """Draw anew, in the same place, with what came up to a moment.

        Args:
            current_timestamp: in microseconds since 1970.

        Raises:
            ImportError: there is no matplotlib.
        """
        self.last_timestamp = current_timestamp
        starttime, dimensions, events, show_workers = self._asked
        self.system_metrics = grouped(
            self.metrics_reader.get_events(starttime, current_timestamp), show_workers
        )
        rows = selected(self.system_metrics, dimensions, events)
        if len(rows) > _MOST:
            print(f"{_MOST} of {len(rows)} metrics are drawn: choose by select_events")
        if rows:
            self._picture.show(_drawn(rows[:_MOST]))


def _drawn(rows: Sequence[tuple[str, str, Series]]) -> Any:
    figure, all_axes = grid_of(len(rows), 250, 210, 4)
    for axes, (dimension, name, series) in zip(all_axes, rows, strict=True):
        values, unit = series[:, 1], unit_of(dimension, name)
        plain(axes)
        axes.set_title(title_of(dimension, name), loc="left", fontsize=8, color=INK)
        bins = _PERCENT if unit == "%" else np.linspace(0, float(values.max()) or 1.0, _BINS)
        axes.hist(values, bins=bins, color=BLUE, alpha=0.85)
        axes.axvline(float(np.median(values)), color=INK, linewidth=1, linestyle="--")
        if unit != "%":
            ticker = library("matplotlib.ticker", "charts")
            axes.xaxis.set_major_formatter(ticker.EngFormatter(unit=unit))
            axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
        labelled(axes, unit if unit == "%" else "", "samples")
    return figure
