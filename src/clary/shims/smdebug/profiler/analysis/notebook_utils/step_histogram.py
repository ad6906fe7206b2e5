"""How long steps and their phases took: how often which time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...algorithm_metrics_reader import AlgorithmMetricsReader
from .picture import BLUE, INK, Picture, grid_of, labelled, plain, upper_edge
from .system_series import NODE, chosen

_BINS = 50
_USUAL: tuple[str, ...] = (
    "Step:ModeKeys",
    "Forward-node",
    r"Backward\(post-forward\)-node",
)


class StepHistogram:
    """A histogram for each phase that is chosen. One thread uses it."""

    def __init__(self, metrics_reader: AlgorithmMetricsReader, width: int = 500) -> None:
        """Nothing is drawn before `plot`.

        Args:
            metrics_reader: `TrainingJob.get_framework_metrics_reader()`.
            width: taken as AWS takes it; all steps of the time are counted.
        """
        self.metrics_reader = metrics_reader
        self.width = width
        self.last_timestamp: float = metrics_reader.get_timestamp_of_latest_available_file()
        self._asked = (0.0, _USUAL, True)
        self.clear()

    @property
    def figure(self) -> Any:
        """The figure, of matplotlib's; None before `plot`, or where nothing was chosen."""
        return self._picture.figure

    def clear(self) -> None:
        """Forget what was drawn; the next picture gets a place of its own."""
        self.step_metrics: dict[str, list[float]] = {}
        self._picture = Picture()

    def plot(
        self,
        starttime: float = 0,
        endtime: float | None = None,
        select_metrics: Sequence[str] = _USUAL,
        show_workers: bool = True,
    ) -> None:
        """Draw the steps of a time.

        Args:
            starttime: in microseconds since 1970.
            endtime: in microseconds since 1970; None for the latest there is.
            select_metrics: regular expressions of phases, each followed by `-nodeid:` and its
                host where hosts stand by themselves.
            show_workers: each host by itself, or all as one.

        Raises:
            ImportError: there is no matplotlib.
        """
        self._asked = (starttime, tuple(select_metrics), show_workers)
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
        starttime, expressions, show_workers = self._asked
        found: dict[str, list[float]] = {}
        for one in self.metrics_reader.get_events(starttime, current_timestamp):
            name = f"{one.event_phase}{NODE}{one.node_id}" if show_workers else one.event_phase
            # What stands for several short steps counts as often, with their mean.
            found.setdefault(name, []).extend([one.duration / 1e6 / one.steps] * one.steps)
        if not show_workers:
            expressions = tuple(one.removesuffix("-node") for one in expressions)
        self.step_metrics = {name: found[name] for name in sorted(chosen(found, expressions))}
        if self.step_metrics:
            self._picture.show(self._drawn())
        else:
            there = ", ".join(sorted(found)) or "nothing at all"
            print(f"nothing is called so: select_metrics={list(expressions)}; there is {there}")

    def _drawn(self) -> Any:
        figure, all_axes = grid_of(len(self.step_metrics), 330, 250, 3)
        for axes, (name, seconds) in zip(all_axes, self.step_metrics.items(), strict=True):
            values = 1000 * np.asarray(seconds)
            phase, _, node = name.partition(NODE)
            plain(axes, f"{phase} · {node}" if node else phase)
            top = upper_edge(values)
            longer = int((values > top).sum())
            axes.hist(values[values <= top], bins=_BINS, color=BLUE, alpha=0.85)
            axes.axvline(float(np.median(values)), color=INK, linewidth=1, linestyle="--")
            labelled(
                axes,
                f"ms   (median {np.median(values):,.3g} ms, n = {len(values):,}"
                + (f", {longer:,} longer than {top:,.0f} ms)" if longer else ")"),
            )
        return figure
