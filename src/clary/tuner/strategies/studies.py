"""A space and its observations as a study of Optuna, which lives as long as one question.

Optuna is imported when it is first needed: it takes half a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clary.tuner.observations import Observation
from clary.tuner.ranges import CategoricalRange, IntegerRange, Space
from clary.tuner.scaling import Value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study


def ask(
    space: Space, observations: Sequence[Observation], sampler: BaseSampler
) -> dict[str, Value]:
    """The combination that `sampler` proposes after `observations`."""
    study = build(space, observations, sampler)
    return _decode(space, study.ask(_distributions(space)).params)


def build(
    space: Space, observations: Sequence[Observation], sampler: BaseSampler | None = None
) -> Study:
    """A study that minimises, of the ranges that hold more than one value."""
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler, direction="minimize")
    distributions = _distributions(space)
    study.add_trials(
        create_trial(
            state=TrialState.RUNNING if observation.loss is None else TrialState.COMPLETE,
            value=observation.loss,
            params=_encode(space, observation.parameters, distributions),
            distributions=distributions,
        )
        for observation in observations
    )
    return study


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    """Continuous ranges by their positions, so that all scalings look the same to a model."""
    from optuna import distributions as of

    distributions: dict[str, BaseDistribution] = {}
    for range_ in space.ranges:
        if range_.size == 1:
            continue
        if isinstance(range_, CategoricalRange):
            distributions[range_.name] = of.CategoricalDistribution(range_.values)
        elif isinstance(range_, IntegerRange):
            logarithmic = range_.scale == "Logarithmic"
            distributions[range_.name] = of.IntDistribution(range_.low, range_.high, logarithmic)
        else:
            distributions[range_.name] = of.FloatDistribution(0.0, 1.0)
    return distributions


def _encode(
    space: Space, values: Mapping[str, Value], distributions: Mapping[str, BaseDistribution]
) -> dict[str, Any]:
    return {
        range_.name: (
            values[range_.name]
            if isinstance(range_, CategoricalRange | IntegerRange)
            else range_.position(values[range_.name])
        )
        for range_ in space.ranges
        if range_.name in distributions
    }


def _decode(space: Space, params: Mapping[str, Any]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for range_ in space.ranges:
        if range_.name not in params:
            values[range_.name] = range_.at(0.5)
        elif isinstance(range_, CategoricalRange | IntegerRange):
            values[range_.name] = params[range_.name]
        else:
            values[range_.name] = range_.at(params[range_.name])
    return values
