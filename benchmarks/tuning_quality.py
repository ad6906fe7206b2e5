"""How good a combination each strategy finds, at equal trials, against Random.

Every strategy tunes three made-up objectives (made_up_objectives.py) once for each seed, with some
trials at a time as `clary tune` does, each of 27 epochs. Printed is the regret: how far the exact
error at the combination that the strategy would recommend, the best measured one, lies above the
least possible error. Hyperband stops most trials early; `--same-epochs` adds a Hyperband that may
begin more trials until it has trained as many epochs as the others. `--gp` adds the Gaussian
process, which takes minutes. `--replay FOLDER` walks through the trials of a `tuning.json` there
instead, and takes for each suggestion the recorded trial that is nearest and has not been used.

    python benchmarks/tuning_quality.py [--quick] [--seeds 24] [--parallel 4] [--same-epochs] [--gp]
                                        [--replay FOLDER]
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from random import Random
from typing import Literal

from clary.formats.tuning_record import TuningRecord
from clary.tuner.best import best
from clary.tuner.hyperband import stops_at_rung
from clary.tuner.novelty import distance
from clary.tuner.ranges import CategoricalRange, ContinuousRange, IntegerRange, Range, Space
from clary.tuner.search import Search, Strategy, suggest
from clary.tuner.trials import Direction, Trial
from made_up_objectives import OBJECTIVES, Objective
from rows import Rows, add_rows_option

EPOCHS = 27
TRIALS = (20, 40)


@dataclass(frozen=True)
class Contestant:
    """A way to choose combinations."""

    name: str
    strategy: Strategy
    engine: Literal["light", "gp"] = "light"
    same_epochs: bool = False


RANDOM = Contestant("Random", "Random")
CONTESTANTS = (RANDOM, Contestant("Bayesian", "Bayesian"), Contestant("Hyperband", "Hyperband"))
# Hyperband trains an eighth of the epochs: at equal trials it may lose.
BETTER_THAN_RANDOM = ("Bayesian", "Bayesian, GP")
SAME_EPOCHS = Contestant("Hyperband, same epochs", "Hyperband", same_epochs=True)
GAUSSIAN_PROCESS = Contestant("Bayesian, GP", "Bayesian", "gp")


@dataclass(frozen=True)
class Problem:
    """What is tuned: `curve` gives a trial's objective at each epoch, `regret` its exact merit.

    For a replay, a suggestion becomes the combination that was really tried; `begin` gives a
    `settle` that does so for one run.
    """

    name: str
    space: Space
    direction: Direction
    curve: Callable[[Trial, Random], tuple[float, ...]]
    regret: Callable[[Trial], float]
    begin: Callable[[], Callable[[dict], dict]] = lambda: dict
    epochs: int = EPOCHS
    trials: Sequence[int] = TRIALS


def made_up(objective: Objective) -> Problem:
    return Problem(
        objective.name,
        objective.space,
        "Minimize",
        lambda trial, random: objective.curve(trial.parameters, EPOCHS, random),
        lambda trial: objective.error(trial.parameters),
    )


def recorded(folder: Path) -> Problem:
    """The trials of a tuning record, each of which can be taken once in a run."""
    record = TuningRecord.read(folder)
    space = Space(
        tuple(
            CategoricalRange(range_.name, range_.values)
            if range_.kind == "categorical"
            else _number_range(range_)
            for range_ in record.ranges
        )
    )
    rows = {
        tuple(trial.parameters[name] for name in space.names): trial
        for trial in record.trials
        if trial.value is not None and space.contains(trial.parameters)
    }
    sign = 1 if record.objective.direction == "Minimize" else -1
    least = min(sign * trial.value for trial in rows.values())

    def row(trial: Trial):
        return rows[tuple(trial.parameters[name] for name in space.names)]

    def begin() -> Callable[[dict], dict]:
        left = [dict(trial.parameters) for trial in rows.values()]

        def settle(values: dict) -> dict:
            nearest = min(left, key=lambda one: distance(space, one, values))
            left.remove(nearest)
            return nearest

        return settle

    return Problem(
        record.name,
        space,
        record.objective.direction,
        lambda trial, random: tuple(row(trial).curve) or (row(trial).value,),
        lambda trial: sign * row(trial).value - least,
        begin,
        max(len(trial.curve) for trial in rows.values()) or 1,
        [count for count in TRIALS if count <= len(rows) // 2] or [max(1, len(rows) // 2)],
    )


def _number_range(range_) -> Range:
    kind = IntegerRange if range_.kind == "integer" else ContinuousRange
    return kind(range_.name, range_.low, range_.high, range_.scaling)


@dataclass(frozen=True)
class Run:
    """What one seed came to: the regret after so many trials, and the share of epochs trained."""

    regrets: dict[int, float]
    epochs: float
    suggest_ms: float


class Simulation:
    """One tuning job, whose trials all advance by an epoch at a time."""

    def __init__(self, problem: Problem, contestant: Contestant, seed: int, parallel: int) -> None:
        self.problem, self.contestant, self.parallel = problem, contestant, parallel
        self.hyperband = contestant.strategy == "Hyperband"
        self.search = Search(
            problem.space,
            contestant.strategy,
            problem.direction,
            seed,
            max_resource=problem.epochs if self.hyperband else None,
        )
        self.settle, self.random = problem.begin(), Random(f"objective {seed}")
        self.trials: dict[int, Trial] = {}
        self.whole: dict[int, tuple[float, ...]] = {}
        self.asked_s = 0.0
        # The state of things when the budget for so many trials was used up.
        self.regrets: dict[int, float] = {}

    def run(self) -> Run:
        while self.may_begin() or self.running():
            while self.may_begin() and len(self.running()) < self.parallel:
                self.begin()
            self.advance()
            self.keep_account()
        done = list(self.trials.values())
        share = self.epochs() / sum(len(self.whole[trial.number]) for trial in done)
        return Run(self.regrets, share, self.asked_s / len(done) * 1000)

    def running(self) -> list[Trial]:
        return [trial for trial in self.trials.values() if trial.state == "running"]

    def epochs(self) -> int:
        return sum(len(trial.curve) for trial in self.trials.values())

    def may_begin(self) -> bool:
        most = max(self.problem.trials)
        if self.contestant.same_epochs:
            return self.epochs() < most * self.problem.epochs
        return len(self.trials) < most

    def begin(self) -> None:
        number = len(self.trials) + 1
        began = time.perf_counter()
        known = list(self.trials.values())
        values = suggest(self.search, known, number, engine=self.contestant.engine)
        self.asked_s += time.perf_counter() - began
        self.trials[number] = Trial(number, self.settle(values), "running")
        self.whole[number] = self.problem.curve(self.trials[number], self.random)

    def advance(self) -> None:
        for trial in self.running():
            curve = self.whole[trial.number][: len(trial.curve) + 1]
            self.trials[trial.number] = replace(trial, curve=curve)
        everyone = list(self.trials.values())
        for trial in self.running():
            stops = self.hyperband and stops_at_rung(self.search, trial, everyone)
            if stops or trial.curve == self.whole[trial.number]:
                ended = replace(trial, state="succeeded", value=trial.curve[-1])
                self.trials[trial.number] = ended

    def keep_account(self) -> None:
        for count in self.problem.trials:
            if self.contestant.same_epochs:
                spent = self.epochs() >= count * self.problem.epochs
                considered = list(self.trials.values())
            else:
                considered = [t for number, t in self.trials.items() if number <= count]
                spent = len(considered) == count and all(t.state != "running" for t in considered)
            if spent and count not in self.regrets:
                self.regrets[count] = _regret(self.problem, considered)


def _regret(problem: Problem, trials: Sequence[Trial]) -> float:
    winner = best(trials, problem.direction)
    assert winner is not None
    return problem.regret(winner)


def compare(
    problem: Problem, contestants: Sequence[Contestant], seeds: int, parallel: int, rows: Rows
) -> None:
    """Print a line for each contestant and number of trials; contestants take turns."""
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in contestants}
    for seed in range(seeds):
        for contestant in contestants:
            runs[contestant.name].append(Simulation(problem, contestant, seed, parallel).run())
        print(f"{problem.name}: seed {seed + 1}/{seeds}", file=sys.stderr, flush=True)
    for count in problem.trials:
        for name, found in runs.items():
            regrets = [run.regrets[count] for run in found]
            low, middle, high = statistics.quantiles(regrets, n=4)
            pairs = [
                (regret, base.regrets[count])
                for regret, base in zip(regrets, runs[RANDOM.name], strict=True)
            ]
            won = sum(mine < theirs for mine, theirs in pairs) / seeds
            lost = sum(mine > theirs for mine, theirs in pairs) / seeds
            against = "–" if name == RANDOM.name else f"{won:.0%} / {lost:.0%}"
            epochs = statistics.median(run.epochs for run in found)
            if name != RANDOM.name:
                rows.add(
                    f"{problem.name}, regret after {count} trials: seeds won",
                    name,
                    [100 * won],
                    n=seeds,
                    unit="%",
                    against=RANDOM.name,
                    goal=50 if name in BETTER_THAN_RANDOM else None,
                )
            asked = statistics.median(run.suggest_ms for run in found)
            print(
                f"| {problem.name} | {count} | {name} | {middle:.4f} ({low:.4f}–{high:.4f}) "
                f"| {against} | {epochs:.0%} | {asked:.1f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--same-epochs", action="store_true", help="a longer Hyperband too")
    parser.add_argument("--gp", action="store_true", help="the Gaussian process too")
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="with a tuning.json")
    parser.add_argument("--quick", action="store_true", help="4 seeds, to see that it works")
    add_rows_option(parser)
    given = parser.parse_args()
    seeds = 4 if given.quick else given.seeds
    contestants = [
        *CONTESTANTS,
        *([SAME_EPOCHS] if given.same_epochs else []),
        *([GAUSSIAN_PROCESS] if given.gp else []),
    ]
    problems = (
        [recorded(given.replay)] if given.replay else [made_up(which) for which in OBJECTIVES]
    )
    print(
        f"date {datetime.date.today()}; {len(os.sched_getaffinity(0))} cores, load "
        f"{os.getloadavg()[0]:.1f}; Python {platform.python_version()}, optuna "
        f"{metadata.version('optuna')}\n"
        f"n = {seeds} seeds, {given.parallel} trials at a time; median (quartiles)\n\n"
        "| objective | trials | strategy | regret | seeds won / lost against Random | epochs used "
        "| ms per suggestion |\n|---|---|---|---|---|---|---|"
    )
    for problem in problems:
        compare(problem, contestants, seeds, given.parallel, Rows.of("tuning_quality", given))


if __name__ == "__main__":
    main()
