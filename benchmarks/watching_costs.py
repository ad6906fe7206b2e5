"""What a race of watched trainings has shown, as a table: see `debugger.py`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clary.formats.tensor_log import TensorLog
from measuring import Section, Spread
from rows import Rows

# Steps between two captures; a capture comes with the first step of a period.
EVERY = 5
QUIET_BELOW = 0.25

Round = Mapping[str, Section]
# What Clary's own ways may cost: the ratio of steps, and kilobytes a capture.
GOALS = {"default": 1.005, "statistics": 1.03}
CAPTURE_GOAL_KB = {"statistics": 100.0}


@dataclass(frozen=True)
class Kept:
    """What a contestant left on the disk: how often it kept tensors, and what it says itself."""

    captures: int
    size: int
    failures: Sequence[str] = ()

    @classmethod
    def read(cls, folder: Path) -> Kept:
        """Read a folder of Clary's log or of smdebug's files; captures without tensors, of
        losses alone, count as well where there are no others.
        """
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        if (folder / "events").is_dir():
            return cls(len(list((folder / "events").iterdir())), size)
        if not folder.is_dir():
            return cls(0, 0)
        log = TensorLog(folder)
        tensors = [name for name in log.names() if name.startswith("gradient/")]
        steps = log.steps_of(tensors[0]) if tensors else log.steps()
        return cls(len(steps), size, log.failures)


def table(rounds: Sequence[Round], baseline: str, kept: Mapping[str, Kept], warm_up: int) -> str:
    """Compare with the baseline: period by period, and over all time on the clock.

    Args:
        rounds: complete ones; each has a turn of every contestant.
        baseline: the contestant that is not watched.
        kept: what the others left on the disk; those that should have nothing are not in it.
        warm_up: steps that came before the first round.
    """
    quiet = [turns for turns in rounds if max(one.others for one in turns.values()) < QUIET_BELOW]
    count = sum(len(_periods(turns[baseline])) for turns in rounds)
    steps = warm_up + sum(len(turns[baseline].steps) for turns in rounds)
    due = len(range(0, steps, EVERY))
    lines = [
        f"{len(rounds)} rounds, {len(quiet)} of them quiet; n = {count} periods of {EVERY} steps, "
        f"the first of which captures; median (min–max); a ratio is that of times to {baseline!r} "
        f"in the same period of the same round",
        f"{steps} steps with the warm-up; captures: those found on the disk; in these rounds "
        f"{due} of tensors were due, and losses of 'default' at every step",
        "| watched | ms a step | ratio | ratio, all time | ratio, quiet rounds | captures "
        "| KB a capture | cores of others |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in rounds[0]:
        own = [period for turns in rounds for period in _periods(turns[name])]
        milliseconds = Spread([1e3 * seconds / EVERY for seconds in own])
        whole = _whole(rounds, name) / _whole(rounds, baseline)
        others = Spread([turns[name].others for turns in rounds])
        captures, kilobytes = _disk(kept.get(name))
        lines.append(
            f"| {name} | {milliseconds} | {_precise(_ratios(rounds, name, baseline))} "
            f"| {whole:.3f} | {_precise(_ratios(quiet, name, baseline))} "
            f"| {captures} | {kilobytes} | {others} |"
        )
    lines += [
        f"{name} says: {failure.splitlines()[0]}"
        for name, one in kept.items()
        for failure in one.failures
    ]
    return "\n".join(lines)


def add_rows(
    rows: Rows, model: str, rounds: Sequence[Round], baseline: str, kept: Mapping[str, Kept]
) -> None:
    """What can be held against goals, of the same rounds."""
    for name, one in kept.items():
        rows.add(
            f"{model}, a watched step",
            name,
            _ratios(rounds, name, baseline),
            against="unwatched",
            goal=GOALS.get(name),
            less=True,
        )
        if one.captures:
            rows.add(
                f"{model}, a capture",
                name,
                [one.size / one.captures / 1e3],
                n=one.captures,
                unit="KB",
                goal=CAPTURE_GOAL_KB.get(name),
                less=True,
            )


def _periods(turn: Section) -> list[float]:
    steps = turn.steps
    return [sum(steps[start : start + EVERY]) for start in range(0, len(steps), EVERY)]


def _ratios(rounds: Sequence[Round], name: str, baseline: str) -> list[float]:
    return [
        own / bare
        for turns in rounds
        for own, bare in zip(_periods(turns[name]), _periods(turns[baseline]), strict=True)
    ]


def _whole(rounds: Sequence[Round], name: str) -> float:
    return sum(turns[name].seconds for turns in rounds)


def _precise(values: Sequence[float]) -> str:
    """With three digits behind the point, for costs of less than a per cent."""
    if not values:
        return "–"
    return f"{statistics.median(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def _disk(kept: Kept | None) -> tuple[str, str]:
    if kept is None:
        return "–", "–"
    size = f"{kept.size / kept.captures / 1e3:,.1f}" if kept.captures else "–"
    return str(kept.captures), size
