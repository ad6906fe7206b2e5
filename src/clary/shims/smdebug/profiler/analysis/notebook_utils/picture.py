"""A chart on its way into a notebook."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..libraries import library

INK = "#1f2933"
QUIET = "#7b8794"
GRID = "#e4e7eb"
BLUE = "#2563a8"
ORANGE = "#c2570c"
# Of several kinds beside each other; told apart by those who see few colours, too.
PALETTE = ("#2563a8", "#c2570c", "#2f8f6b", "#8a4baf", "#a8852b", "#c0365b")

_DPI = 100
_ROOM = 1.3
# Twice as many dots as the picture is wide, for fine screens.
_FINE = 2


class Picture:
    """Shows one figure in a notebook, and later ones in its place. One thread uses it."""

    def __init__(self) -> None:
        self.figure: Any = None
        self._handle: Any = None

    def show(self, figure: Any) -> None:
        """Put a figure into the notebook, or in the place of the last one; keep it elsewhere."""
        self.figure = figure
        if "IPython" not in sys.modules:
            return
        from IPython import get_ipython

        if get_ipython() is None:
            return
        from IPython.display import Image, display

        held = io.BytesIO()
        figure.savefig(held, format="png", dpi=_FINE * _DPI)
        width = round(figure.get_figwidth() * _DPI)
        image = Image(data=held.getvalue(), format="png", width=width)
        if self._handle is None:
            self._handle = display(image, display_id=True)
        else:
            self._handle.update(image)


def new_figure(width: int, height: int) -> Any:
    """An empty figure of so many points of a screen; no state of matplotlib's is touched.

    Raises:
        ImportError: there is no matplotlib.
    """
    figure = library("matplotlib.figure", "charts").Figure
    made = figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, layout="constrained")
    made.patch.set_facecolor("white")
    return made


def plain(axes: Any, title: str = "") -> None:
    """Give axes the plain look that all charts have."""
    axes.set_title(title, loc="left", fontsize=9.5, color=INK)
    axes.tick_params(labelsize=8, colors=QUIET, length=3)
    axes.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)


def labelled(axes: Any, across: str = "", upward: str = "") -> None:
    """Name one axis or both; the other one keeps its name."""
    if across:
        axes.set_xlabel(across, fontsize=8.5, color=QUIET)
    if upward:
        axes.set_ylabel(upward, fontsize=8.5, color=QUIET)


def upper_edge(values: Any) -> float:
    """What nearly all of some times stay under, or all of them where none is far off."""
    usual, most = float(np.quantile(values, 0.98)), float(values.max())
    return max(most if most <= 3 * usual else _ROOM * usual, 1e-3)


def grid_of(count: int, width: int, height: int, columns: int) -> tuple[Any, Sequence[Any]]:
    """A figure with so many axes, side by side and below each other.

    Args:
        count: how many axes.
        width: of each, in points of a screen.
        height: of each.
        columns: how many beside each other, at most.

    Raises:
        ImportError: there is no matplotlib.
    """
    across = min(columns, count)
    down = -(-count // across)
    figure = new_figure(max(width * across, 360), height * down)
    axes = figure.subplots(down, across, squeeze=False).flatten().tolist()
    for empty in axes[count:]:
        empty.set_visible(False)
    return figure, axes[:count]
