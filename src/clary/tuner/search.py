"""What to try next: a pure function of the search, the trials so far and the next one's number.

Nothing is kept between two calls, so that a service that was killed goes on as if nothing had
happened. Any thread may call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

from clary.errors import SpaceExhausted, UsageError
from clary.tuner.novelty import Tried
from clary.tuner.observations import observe
from clary.tuner.ranges import Space
from clary.tuner.scaling import Value
from clary.tuner.strategies import bayesian, grid, random_search
from clary.tuner.strategies.grid import check_grid
from clary.tuner.trials import Direction, Trial

__all__ = [
    "Direction",
    "Engine",
    "Search",
    "SpaceExhausted",
    "Strategy",
    "check_grid",
    "engine",
    "suggest",
]

Strategy = Literal["Bayesian", "Random", "Grid", "Hyperband"]
Engine = Literal["light", "gp"]

MAX_RESOURCE = 20_000

# Hyperband's model sees unfinished trainings, which may mislead it: it proposes two of three
# combinations, as in Falkner, Klein, Hutter, "BOHB" (2018).
HYPERBAND_RANDOM_SHARE = 1 / 3

# As often a strategy is asked again for a combination that has not been tried.
ATTEMPTS = 3


@dataclass(frozen=True)
class Search:
    """What is searched and how; it stays the same from the first trial to the last.

    Args:
        space: the ranges.
        strategy: how combinations are chosen.
        direction: which way the objective is better.
        seed: any whole number; the same seed and trials give the same suggestion.
        max_trials: how many trials there will be, if that is known.
        min_resource: for Hyperband: epochs before which no trial is stopped; 1 if not given.
        max_resource: for Hyperband: epochs at which every trial is stopped, 20,000 at most.
        transfer: whether parents were tried on other data: their combinations may be tried again,
            and their objectives are compared with each other only.

    Raises:
        UsageError: a grid of numbers, or not as many trials as it has combinations; resources that
            Hyperband cannot use, or that another strategy does not use; no strategy or direction.
    """

    space: Space
    strategy: Strategy
    direction: Direction
    seed: int
    max_trials: int | None = None
    min_resource: int | None = None
    max_resource: int | None = None
    transfer: bool = False

    def __post_init__(self) -> None:
        _check_choice("strategy", self.strategy, get_args(Strategy))
        _check_choice("direction", self.direction, get_args(Direction))
        if self.max_trials is not None and self.max_trials < 1:
            raise UsageError(f"{self.max_trials} trials find nothing: ask for 1 or more")
        if self.strategy == "Grid":
            check_grid(self.space, self.max_trials)
        if self.strategy == "Hyperband":
            _check_resources(self.min_resource, self.max_resource)
        elif self.min_resource is not None or self.max_resource is not None:
            raise UsageError(
                f"resources are given, but the strategy {self.strategy} has no use for them: leave "
                "them out or choose Hyperband"
            )


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"the {what} is {value!r}: choose one of {', '.join(choices)}")


def _check_resources(low: int | None, high: int | None) -> None:
    if high is None:
        raise UsageError(
            "Hyperband needs to know how many epochs a trial has at most: give max_resource"
        )
    low = 1 if low is None else low
    if not 1 <= low <= high <= MAX_RESOURCE:
        raise UsageError(
            f"Hyperband has resources from {low} to {high}, but needs whole numbers with "
            f"1 ≤ min_resource ≤ max_resource ≤ {MAX_RESOURCE}: change them"
        )


def suggest(
    search: Search,
    trials: Sequence[Trial],
    number: int,
    parents: Sequence[Trial] = (),
    engine: Engine = "light",
) -> dict[str, Value]:
    """The combination for trial `number`, none that has been tried while the space has others.

    Args:
        search: what is searched and how.
        trials: all trials before, running ones included, in any order.
        number: of the trial to come; counts from 1.
        parents: trials of the tuning jobs that this one starts from.
        engine: what stands behind Bayesian: light is TPE, which answers within milliseconds; gp
            a Gaussian process, which imports torch and belongs into a process of its own.

    Returns:
        A value of each range, by hyperparameter.

    Raises:
        SpaceExhausted: each combination of a space that can be counted has been tried.
    """
    space = search.space
    trials = [trial for trial in trials if trial.number != number]
    tried = Tried(space, _tried(search, trials, parents))
    if search.strategy == "Grid":
        return grid.propose(space, tried)
    if not tried.leaves_some(space):
        return tried.first_untried(space)
    values: dict[str, Value] = {}
    for random in _attempts(search.seed, number):
        values = _propose(search, trials, parents, random, engine)
        if values not in tried:
            return values
    if space.size is None:
        return values
    return tried.untried_near(space, values, Random(f"{search.seed} {number} near"))


def _propose(
    search: Search,
    trials: Sequence[Trial],
    parents: Sequence[Trial],
    random: Random,
    engine: Engine,
) -> dict[str, Value]:
    hyperband = search.strategy == "Hyperband"
    by_chance = hyperband and random.random() < HYPERBAND_RANDOM_SHARE
    if search.strategy == "Random" or by_chance:
        return random_search.propose(search.space, random)
    observations = observe(
        search.space,
        search.direction,
        trials,
        parents,
        by_resource=hyperband,
        transfer=search.transfer,
    )
    return bayesian.propose(search.space, observations, random, gaussian_process=engine == "gp")


def _attempts(seed: int, number: int) -> Iterator[Random]:
    for attempt in range(ATTEMPTS):
        yield Random(f"{seed} {number} {attempt}")


def _tried(
    search: Search, trials: Sequence[Trial], parents: Sequence[Trial]
) -> Iterator[Mapping[str, Value]]:
    yield from (trial.parameters for trial in trials)
    if not search.transfer:
        # A parent's trial that failed or was cut off may be tried again.
        yield from (trial.parameters for trial in parents if trial.state == "succeeded")


# Measured (docs/decisions/0012): the process that asks Optuna's Gaussian process takes 3–4 s of a
# processor to start, and the answer 0.15 s after 10 trials and 0.3 s after 200.
GP_SECONDS_PER_TRIAL = 30.0
GP_MAX_TRIALS = 200


def engine(search: Search, trials: Sequence[Trial], seconds_per_trial: float | None) -> Engine:
    """Which engine should answer `suggest`: gp only where trials are few and costly.

    Args:
        search: what is searched and how.
        trials: all trials so far, parents' included.
        seconds_per_trial: what a trial takes; None if that is not known yet.
    """
    ended = sum(trial.state == "succeeded" for trial in trials)
    costly = seconds_per_trial is not None and seconds_per_trial >= GP_SECONDS_PER_TRIAL
    few = bayesian.STARTUP <= ended <= GP_MAX_TRIALS
    return "gp" if search.strategy == "Bayesian" and costly and few else "light"
