"""All metrics of all hosts at once: a row for each, as bright as it is busy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...conversions import us_since_epoch_to_human_readable_time
from ...system_metrics_reader import SystemMetricsReader
from .picture import QUIET, Picture, labelled, new_figure
from .system_series import NODE, TOTAL, Series, grouped, selected, title_of, unit_of

_MOST_COLUMNS = 1000
_WIDTH = 1000
# Least and most that a row is high.
_ROW = (18, 60)
_REST = 70
ALL_NODES = "node_total"


class Heatmap:
    """A picture of how busy everything was. One thread uses it.

    What is no percentage, such as bytes a second, is shown in percent of its largest value. With
    several hosts, `node_total` is their mean.
    """

    def __init__(  # noqa: PLR0917 - AWS's arguments
        self,
        metrics_reader: SystemMetricsReader,
        select_metrics: Any = None,
        starttime: float = 0,
        endtime: float | None = None,
        select_dimensions: Sequence[str] = (".*CPU", ".*GPU"),
        select_events: Sequence[str] = (".*",),
        plot_height: int = 350,
        show_workers: bool = True,
    ) -> None:
        """Draw what there is.

        Args:
            metrics_reader: `TrainingJob.get_systems_metrics_reader()`.
            select_metrics: taken as AWS takes it, and not looked at.
            starttime: in microseconds since 1970.
            endtime: in microseconds since 1970; None for the latest there is.
            select_dimensions: regular expressions, such as `["CPU", "GPU", "I/O"]`.
            select_events: regular expressions of names, such as `["total"]`.
            plot_height: in points of a screen, as far as it suits the number of rows.
            show_workers: each host by itself, or all as one.

        Raises:
            ImportError: there is no matplotlib.
        """
        self.metrics_reader = metrics_reader
        self.plot_height = plot_height
        self.show_workers = show_workers
        self._asked = (starttime, select_dimensions, select_events)
        self._picture = Picture()
        self.update_data(
            metrics_reader.get_timestamp_of_latest_available_file() if endtime is None else endtime
        )

    @property
    def figure(self) -> Any:
        """The figure, of matplotlib's; None where nothing was chosen."""
        return self._picture.figure

    def update_data(self, current_timestamp: float) -> None:
        """Draw anew, in the same place, with what came up to a moment.

        Args:
            current_timestamp: in microseconds since 1970.

        Raises:
            ImportError: there is no matplotlib.
        """
        self.last_timestamp = current_timestamp
        starttime, dimensions, names = self._asked
        events = self.metrics_reader.get_events(starttime, current_timestamp)
        self.system_metrics = grouped(events, self.show_workers)
        if self.show_workers and len({one.node_id for one in events}) > 1:
            together = grouped(events, show_workers=False)
            self.system_metrics |= {
                f"{dimension}{NODE}{ALL_NODES}": {TOTAL: held[TOTAL]}
                for dimension, held in together.items()
                if TOTAL in held
            }
        rows = selected(self.system_metrics, dimensions, names)
        if rows:
            self._picture.show(self._drawn(rows))

    def _drawn(self, rows: Sequence[tuple[str, str, Series]]) -> Any:
        edges = _edges(series for *_, series in rows)
        cells = np.vstack(
            [_row(series, edges, unit_of(dimension, name)) for dimension, name, series in rows]
        )
        least, most = (height * len(rows) + _REST for height in _ROW)
        figure = new_figure(_WIDTH, min(max(self.plot_height, least), most))
        axes = figure.subplots()
        start = min(series[0, 0] for *_, series in rows)
        image = axes.imshow(
            np.ma.masked_invalid(cells),
            aspect="auto",
            interpolation="nearest",
            cmap="viridis",
            vmin=0,
            vmax=100,
            extent=(edges[0] - start, edges[-1] - start, len(rows) - 0.5, -0.5),
        )
        axes.set_yticks(
            range(len(rows)), [title_of(dimension, name) for dimension, name, _ in rows]
        )
        axes.tick_params(labelsize=8, colors=QUIET, length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        clock = us_since_epoch_to_human_readable_time(start * 1e6)[11:19]
        labelled(axes, f"seconds since {clock} UTC")
        bar = figure.colorbar(image, ax=axes, pad=0.01, fraction=0.03)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, colors=QUIET, length=0)
        bar.set_label("%", fontsize=8.5, color=QUIET)
        return figure


def _edges(all_series: Iterable[Series]) -> npt.NDArray[np.float64]:
    """Borders of the columns, in seconds since 1970: as many as samples, but not too many."""
    held = list(all_series)
    begin = min(series[0, 0] for series in held)
    end = max(series[-1, 0] for series in held)
    longest = max(len(series) for series in held)
    columns = int(np.clip(longest, 1, _MOST_COLUMNS))
    # The last sample lies within its column, not on its border.
    width = (end - begin) / max(columns - 1, 1) or 1.0
    return np.asarray(begin + width * np.arange(columns + 1) - width / 2)


def _row(series: Series, edges: npt.NDArray[np.float64], unit: str) -> npt.NDArray[np.float64]:
    """Means by column; a column without samples is as the last one before it, or NaN."""
    values = series[:, 1]
    if unit != "%":
        values = 100 * values / (float(values.max()) or 1.0)
    place = np.clip(np.searchsorted(edges, series[:, 0], side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(place, minlength=len(edges) - 1)
    sums = np.bincount(place, weights=values, minlength=len(edges) - 1)
    last = np.maximum.accumulate(np.where(counts > 0, np.arange(len(counts)), -1))
    means = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return np.where(last >= 0, means[np.maximum(last, 0)], np.nan)
