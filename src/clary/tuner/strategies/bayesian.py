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
        sampler = samplers.GPSampler(seed=seed, n_startup_trials=0)
        return studies.ask(space, tame(observations), sampler)
    return studies.ask(space, observations, samplers.TPESampler(seed=seed, n_startup_trials=0))
