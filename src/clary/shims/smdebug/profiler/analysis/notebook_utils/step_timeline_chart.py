"""How long each step took, over the time of a job."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...algorithm_metrics_reader import AlgorithmMetricsReader
from ...conversions import us_since_epoch_to_human_readable_time
from .picture import PALETTE, QUIET, Picture, labelled, new_figure, plain, upper_edge

_MOST_NAMED = 8
_MOST_DRAWN = 10_000


class StepTimelineChart:
    """A point for each step, by its mode. One thread uses it.

    A few steps that took far longer than all others stand at the upper edge, with their time.
    """

    def __init__(self, metrics_reader: AlgorithmMetricsReader, width: int | None = None) -> None:
        """Draw what there is.

        Args:
            metrics_reader: `TrainingJob.get_framework_metrics_reader()`.
            width: how many of the latest steps are drawn; None for all.

        Raises:
            ImportError: there is no matplotlib.
        """
        self.metrics_reader = metrics_reader
        self.width = width
        self.steps_np = np.empty((0, 3))
        self.metric_names: list[str] = []
        self._picture = Picture()
        self.update_data(metrics_reader.get_timestamp_of_latest_available_file())

    @property
    def figure(self) -> Any:
        """The figure, of matplotlib's; None while there are no steps."""
        return self._picture.figure

    def update_data(self, current_timestamp: float) -> None:
        """Draw anew, in the same place, with the steps up to a moment.

        Args:
            current_timestamp: in microseconds since 1970.

        Raises:
            ImportError: there is no matplotlib.
        """
        self.last_timestamp = current_timestamp
        steps = [
            one
            for one in self.metrics_reader.get_events(0, current_timestamp)
            if one.event_name.startswith("Step")
        ]
        # When each began and how long it took, in seconds, and its number.
        self.steps_np = np.array(
            [(one.start_time / 1e6, one.duration / 1e6 / one.steps, one.step) for one in steps]
        ).reshape(-1, 3)
        self.metric_names = [one.event_name for one in steps]
        if steps:
            self._picture.show(self._drawn())
        else:
            print("There are no steps yet")

    def _drawn(self) -> Any:
        last = slice(None if self.width is None else -self.width, None)
        shown, names = self.steps_np[last], np.array(self.metric_names[last])
        figure = new_figure(1000, 280)
        axes = figure.subplots()
        plain(axes, "duration of a step")
        milliseconds = 1000 * shown[:, 1]
        top = upper_edge(milliseconds)
        start = self.steps_np[0, 0]
        for place, name in enumerate(dict.fromkeys(names.tolist())):
            these = names == name
            colour = PALETTE[place % len(PALETTE)]
            drawn = np.flatnonzero(these)[_extremes(milliseconds[these])]
            axes.plot(
                shown[drawn, 0] - start,
                np.minimum(milliseconds[drawn], top),
                ".",
                markersize=4,
                color=colour,
                label=name.removeprefix("Step:ModeKeys."),
            )
        longer = shown[milliseconds > top]
        for began, seconds, step in longer[np.argsort(-longer[:, 1])][:_MOST_NAMED].tolist():
            axes.annotate(
                f"step {step:.0f}: {1000 * seconds:,.0f} ms",
                (began - start, top),
                xytext=(4, -3),
                textcoords="offset points",
                va="top",
                fontsize=7.5,
                color=QUIET,
            )
        axes.set_ylim(0, top * 1.05)
        figure.legend(fontsize=8.5, frameon=False, loc="outside upper right", ncols=4)
        clock = us_since_epoch_to_human_readable_time(start * 1e6)[11:19]
        labelled(axes, f"seconds since {clock} UTC", "ms")
        return figure


def _extremes(values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Places of all values; of very many, those of the least and the most in each stretch."""
    places = np.arange(len(values))
    if len(values) <= _MOST_DRAWN:
        return places
    stretches = np.array_split(places, _MOST_DRAWN // 2)
    found = [(part[values[part].argmin()], part[values[part].argmax()]) for part in stretches]
    return np.unique(np.array(found))
