"""The trials of a tuning job as lines: a table in a terminal, `name=value` elsewhere.

trial  status   epochs      lr  weight  batch  accuracy    time
                                 decay   size
    1  done      10/10   0.001   0.012     32    0.9216   4.1 s
    2  running    4/10  0.0042  0.0008     64    0.9085   1.9 s
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from clary.sdk.tuning_description import TrialDescription, TuningDescription
from clary.sdk.tuning_resume import NumberedTrial
from clary.tuner.ranges import CategoricalRange

_STATUS = {
    "Completed": "done",
    "Failed": "failed",
    "Stopped": "stopped",
    "Stopping": "stopping",
}
_NUMBER_WIDTH = 8
_VALUE_LIMIT = 16
_GAP = "  "


@dataclass(frozen=True)
class Column:
    """A column: its heading, in words that may stand below each other, and its width."""

    heading: tuple[str, ...]
    width: int
    left: bool = False

    def cell(self, text: str) -> str:
        """A text in the column's width, cut where it is longer."""
        cut = text if len(text) <= self.width else f"{text[: self.width - 1]}…"
        return cut.ljust(self.width) if self.left else cut.rjust(self.width)


class TrialTable:
    """Lines of one width for the trials of a tuning job.

    Args:
        found: the tuning job.
        width: of the terminal; hyperparameters that do not fit are left out at the right.
    """

    def __init__(self, found: TuningDescription, width: int) -> None:
        self._objective = found.objective
        front = [Column(("trial",), 5), Column(("status",), 8, left=True), Column(("epochs",), 7)]
        objective = _heading(found.objective)
        back = [Column(objective, max(8, *map(len, objective))), Column(("time",), 7)]
        room = width - sum(one.width + len(_GAP) for one in (*front, *back)) + len(_GAP)
        tuned: dict[str, Column] = {}
        for one in found.space.ranges:
            values = one.values if isinstance(one, CategoricalRange) else ("x" * _NUMBER_WIDTH,)
            heading = _heading(one.name)
            longest = max(map(len, (*heading, *values)))
            column = Column(heading, min(_VALUE_LIMIT, longest))
            room -= column.width + len(_GAP)
            if room < 0:
                break
            tuned[one.name] = column
        self._tuned = tuned
        self._columns = [*front, *tuned.values(), *back]
        self.left_out = tuple(name for name in found.space.names if name not in tuned)

    def heading(self) -> list[str]:
        """The lines above the trials."""
        height = max(len(column.heading) for column in self._columns)
        lines = (
            _GAP.join(
                column.cell((*column.heading, *[""] * height)[line]) for column in self._columns
            )
            for line in range(height)
        )
        return [line.rstrip() for line in lines]

    def line(self, numbered: NumberedTrial, metrics: Mapping[str, float], epochs: str) -> str:
        """The line of one trial.

        Args:
            numbered: the trial.
            metrics: their last values.
            epochs: such as `3/10`.
        """
        trial = numbered.trial
        value = trial.objective
        if value is None and not trial.ended:
            value = metrics.get(self._objective)
        cells = [
            str(numbered.number),
            status_word(trial),
            epochs,
            *(short_value(trial.values.get(name, "")) for name in self._tuned),
            "" if value is None else f"{value:.4f}",
            "" if trial.started is None else duration(seconds_of_trial(trial)),
        ]
        pairs = zip(self._columns, cells, strict=True)
        return _GAP.join(column.cell(cell) for column, cell in pairs)


def plain_line(numbered: NumberedTrial, found: TuningDescription) -> str:
    """A trial that has ended, for logs and programs."""
    trial = numbered.trial
    objective = "none" if trial.objective is None else f"{trial.objective:.4f}"
    values = (f"{name}={short_value(text)}" for name, text in trial.values.items())
    words = [
        f"trial {numbered.number}: {status_word(trial)}",
        f"{found.objective}={objective}",
        *values,
        f"seconds={seconds_of_trial(trial):.1f}",
    ]
    return " ".join(words)


def status_word(trial: TrialDescription) -> str:
    """A trial's status in a word: whether it waits is told by its having no start."""
    word = _STATUS.get(trial.status)
    return word or ("waiting" if trial.started is None else "running")


def seconds_of_trial(trial: TrialDescription) -> float:
    """How long it took, or has taken so far."""
    if trial.seconds is not None:
        return trial.seconds
    if trial.started is None:
        return 0.0
    return max(0.0, (datetime.now(tz=trial.started.tzinfo) - trial.started).total_seconds())


def short_value(text: str) -> str:
    """A hyperparameter with three digits, or the text it is."""
    bare = text.strip('"')
    try:
        return (
            bare
            if float(bare).is_integer() and len(bare) <= _NUMBER_WIDTH
            else f"{float(bare):.3g}"
        )
    except (ValueError, OverflowError):
        return bare


def duration(seconds: float) -> str:
    """`4.1 s`, `2:05`, `1:02:05`."""
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)


def clock(seconds: float) -> str:
    """`0:04`, `2:05`, `1:02:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def epochs_text(
    trial: TrialDescription, metrics: Mapping[str, float], fixed: Mapping[str, str], default: int
) -> str:
    """How far a trial is, such as `3/10`; empty where nothing tells."""
    of = trial.values.get("epochs") or fixed.get("epochs") or str(default)
    done = metrics.get("epoch")
    return "" if done is None else f"{done:.0f}/{of.strip(chr(34))}"


def _heading(name: str) -> tuple[str, ...]:
    words: Sequence[str] = name.replace("_", " ").replace("-", " ").replace(":", " ").split()
    return tuple(words) or (name,)
