"""Bayesian: a model of what was found so far says where a better combination may be."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from clary.tuner.observations import Observation, tame
from clary.tuner.ranges import Space
from clary.tuner.scaling import Value
from clary.tuner.strategies import random_search, studies

# Trials with an objective before the model is asked.
STARTUP = 4

# What TPE is shown. It models the best tenth, 25 at most, and weighs the newest 25 of the others
# fully and older ones less, the earliest hardly at all.
TPE_BEST = 25
TPE_NEWEST = 225


def propose(
    space: Space, observations: Sequence[Observation], random: Random, *, gaussian_process: bool
) -> dict[str, Value]:
    """A combination that a tree-structured Parzen estimator or a Gaussian process expects much of.

    The first ones are drawn at random, as nothing is known yet. A trial that runs is taken as one
    that will be among the worse (TPE) or as the model expects it (GP), so that parallel trials
    are spread out.
    """
    if sum(observation.measured for observation in observations) < STARTUP:
        return random_search.propose(space, random)
    from optuna import samplers

    seed = random.getrandbits(32)
    if gaussian_process:
        return studies.ask(
            space, tame(observations), samplers.GPSampler(seed=seed, n_startup_trials=0)
        )
    return studies.ask(
        space, telling(observations), samplers.TPESampler(seed=seed, n_startup_trials=0)
    )


def telling(observations: Sequence[Observation]) -> list[Observation]:
    """The observations that tell TPE most, in their order: the best, the newest, what runs.

    Bounds what a suggestion takes. What is left out are older ones that were not good.
    """
    ended = [place for place, one in enumerate(observations) if one.loss is not None]
    if len(ended) <= TPE_BEST + TPE_NEWEST:
        return list(observations)
    by_loss = sorted(ended, key=lambda place: observations[place].loss or 0.0)
    best = set(by_loss[:TPE_BEST])
    others = [place for place in ended if place not in best]
    left_out = set(others[:-TPE_NEWEST])
    return [one for place, one in enumerate(observations) if place not in left_out]
