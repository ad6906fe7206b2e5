"""What a model of the objective is fitted to: combinations, each with how good it was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, median

from clary.tuner.ranges import Space
from clary.tuner.scaling import Value
from clary.tuner.trials import Direction, Trial, loss

# As many trials must have come to an epoch for Hyperband's model to look at it.
RESOURCE_TRIALS = 15


@dataclass(frozen=True)
class Observation:
    """A combination within the space, and its loss.

    Args:
        parameters: a value for each range.
        loss: less is better; finite; None while the trial runs.
        measured: whether the trial itself gave the loss, rather than having failed.
    """

    parameters: Mapping[str, Value]
    loss: float | None
    measured: bool


def observe(
    space: Space,
    direction: Direction,
    trials: Sequence[Trial],
    parents: Sequence[Trial],
    *,
    by_resource: bool = False,
    transfer: bool = False,
) -> list[Observation]:
    """What the trials and the parents' trials within the space tell a model, by their numbers.

    A failed trial is given the worst loss that was measured, so that the model keeps away from
    what cannot be trained. A parent's trial that ended without an objective tells nothing.

    Args:
        space: trials outside it are left out; only parents have any.
        direction: which way the objective is better.
        trials: the tuning job's own, running ones included.
        parents: those of the tuning jobs that it starts from.
        by_resource: compare trials at the same epoch, as fits Hyperband, which stops most of them
            early: the last one that at least 15 trials have come to, whatever has become of them
            since. Those that did not come so far are left out, as in Falkner, Klein, Hutter,
            "BOHB" (2018). While there is no such epoch, parents' trials have the objective that
            they ended with.
        transfer: the parents had other data, so that their objectives are comparable with each
            other only. Both groups are then given normal scores, Φ⁻¹((rank − ½) / n): Salinas,
            Shen, Perrone, "A quantile-based approach for hyperparameter transfer learning" (2020).
    """
    own = sorted((t for t in trials if space.contains(t.parameters)), key=lambda t: t.number)
    earlier = [
        t for t in parents if space.contains(t.parameters) and loss(t, direction) is not None
    ]
    if by_resource:
        epoch = _common_epoch(earlier + own)
        own = _at_epoch(own, epoch)
        if epoch is not None:
            earlier = _at_epoch(earlier, epoch)
    scores: dict[int, float] = {}
    for group in [earlier, own] if transfer else [earlier + own]:
        scores |= _scores(group, direction, ranked=transfer)
    worst = max(scores.values(), default=0.0)
    observations = []
    for trial in earlier + own:
        score = scores.get(id(trial))
        value = worst if score is None else score
        observations.append(
            Observation(
                parameters={name: trial.parameters[name] for name in space.names},
                loss=None if trial.state == "running" else value,
                measured=score is not None,
            )
        )
    return observations


def tame(observations: Sequence[Observation]) -> list[Observation]:
    """The observations with the worse half of the losses drawn in, for models that take figures.

    A run that diverged is worse than others by far more than they differ, and a Gaussian process
    that has to follow it sees them all as equal. Losses above the median are therefore given the
    upper half of a normal distribution by their ranks, as wide as the lower half: Song et al.,
    "The Vizier Gaussian Process Bandit Algorithm" (2024), half-rank warping.
    """
    known = sorted(o.loss for o in observations if o.loss is not None)
    if len(known) < 2:
        return list(observations)
    middle = median(known)
    good = [loss for loss in known if loss <= middle]
    width = math.hypot(*(loss - middle for loss in good)) / math.sqrt(len(good))
    if width == 0:
        return list(observations)
    place = {
        loss: middle + width * NormalDist().inv_cdf((known.index(loss) + 0.5) / len(known))
        for loss in known
        if loss > middle
    }
    return [
        o if o.loss is None else replace(o, loss=place.get(o.loss, o.loss)) for o in observations
    ]


def _common_epoch(trials: Sequence[Trial]) -> int | None:
    """The last epoch that enough trials have come to, counted from 1."""
    lengths = sorted((len(trial.curve) for trial in trials), reverse=True)
    return (lengths[RESOURCE_TRIALS - 1] or None) if len(lengths) >= RESOURCE_TRIALS else None


def _at_epoch(trials: Sequence[Trial], epoch: int | None) -> list[Trial]:
    """The trials as they were at `epoch`; of those that did not come so far, the others."""
    come = []
    for trial in trials:
        if epoch is not None and len(trial.curve) >= epoch:
            come.append(replace(trial, state="succeeded", value=trial.curve[epoch - 1]))
        elif trial.state != "succeeded":
            come.append(trial)
    return come


def _scores(group: Sequence[Trial], direction: Direction, ranked: bool) -> dict[int, float]:
    """The losses of those trials that have one, by the trials' identities."""
    scored = {id(trial): value for trial in group if (value := loss(trial, direction)) is not None}
    if not ranked:
        return scored
    ranks = sorted(scored.values())
    return {
        key: NormalDist().inv_cdf((ranks.index(value) + 0.5) / len(ranks))
        for key, value in scored.items()
    }
