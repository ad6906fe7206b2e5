"""How good a combination each strategy finds, at equal trials, against Random.

Every strategy tunes three made-up objectives (made_up_objectives.py) once for each seed, with some
trials at a time as `clary tune` does, each of 27 epochs. Printed is the regret: how far the exact
error at the combination that the strategy would recommend, the best measured one, lies above the
least possible error. `--gp` adds the Gaussian process, which takes minutes; `--replay FOLDER` walks
through the trials of a `tuning.json` there instead, and takes for each suggestion the recorded
trial that is nearest and has not been used.

    python benchmarks/tuning_quality.py [--quick] [--seeds 24] [--parallel 4] [--gp]
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

EPOCHS = 27
TRIALS = (20, 40)


@dataclass(frozen=True)
class Contestant:
    """A way to choose combinations."""

    name: str
    strategy: Strategy
    engine: Literal["light", "gp"] = "light"


RANDOM = Contestant("Random", "Random")
CONTESTANTS = (RANDOM, Contestant("Bayesian", "Bayesian"), Contestant("Hyperband", "Hyperband"))
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


def tune(problem: Problem, contestant: Contestant, seed: int, parallel: int) -> Run:
    """Run a tuning job whose trials all advance by an epoch at a time."""
    hyperband = contestant.strategy == "Hyperband"
    search = Search(
        problem.space,
        contestant.strategy,
        problem.direction,
        seed,
        max_resource=problem.epochs if hyperband else None,
    )
    settle, random = problem.begin(), Random(f"objective {seed}")
    trials: dict[int, Trial] = {}
    whole: dict[int, tuple[float, ...]] = {}
    asked_s = 0.0
    while len(trials) < max(problem.trials) or any(t.state == "running" for t in trials.values()):
        while (
            len(trials) < max(problem.trials)
            and sum(trial.state == "running" for trial in trials.values()) < parallel
        ):
            number = len(trials) + 1
            began = time.perf_counter()
            values = suggest(search, list(trials.values()), number, engine=contestant.engine)
            asked_s += time.perf_counter() - began
            trials[number] = Trial(number, settle(values), "running")
            whole[number] = problem.curve(trials[number], random)
        for number, trial in list(trials.items()):
            if trial.state == "running":
                curve = whole[number][: len(trial.curve) + 1]
                trials[number] = replace(trial, curve=curve)
        for number, trial in list(trials.items()):
            stops = hyperband and stops_at_rung(search, trial, list(trials.values()))
            if trial.state == "running" and (stops or trial.curve == whole[number]):
                trials[number] = replace(trial, state="succeeded", value=trial.curve[-1])
    done = list(trials.values())
    epochs = sum(len(t.curve) for t in done) / sum(map(len, whole.values()))
    return Run(
        {count: _regret(problem, done[:count]) for count in problem.trials},
        epochs,
        asked_s / len(done) * 1000,
    )


def _regret(problem: Problem, trials: Sequence[Trial]) -> float:
    winner = best(trials, problem.direction)
    assert winner is not None
    return problem.regret(winner)


def rows(problem: Problem, contestants: Sequence[Contestant], seeds: int, parallel: int) -> None:
    """Print a line for each contestant and number of trials; contestants take turns."""
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in contestants}
    for seed in range(seeds):
        for contestant in contestants:
            runs[contestant.name].append(tune(problem, contestant, seed, parallel))
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
    parser.add_argument("--gp", action="store_true", help="the Gaussian process too")
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="with a tuning.json")
    parser.add_argument("--quick", action="store_true", help="4 seeds, to see that it works")
    given = parser.parse_args()
    seeds = 4 if given.quick else given.seeds
    contestants = [*CONTESTANTS, *([GAUSSIAN_PROCESS] if given.gp else [])]
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
        rows(problem, contestants, seeds, given.parallel)


if __name__ == "__main__":
    main()
