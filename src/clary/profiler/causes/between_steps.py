"""What happens between steps so often that it takes much of the loop: evaluations, checkpoints."""

from __future__ import annotations

import math

import numpy as np

from clary.formats.text import counted
from clary.formats.timeline.entries import Mode
from clary.profiler import readings
from clary.profiler.causes.situation import LEAST_GAIN, Diagnosis, Situation
from clary.profiler.intervals import Intervals
from clary.profiler.step_times import step_times
from clary.profiler.wording import brief, percent, size

_EVALUATION_SHARE = 0.25
_EPOCH_SHARE = 0.4
_EVALUATION_LEFT = 0.1
_CHECKPOINT_SHARE = 0.05
_CHECKPOINT_LEFT = 0.02
_LEAST_RUNS = 3


def evaluation(situation: Situation) -> Diagnosis | None:
    """Evaluations take a quarter of the loop or more, three of them at least.

    Once an epoch is how it is usually done: there two fifths are much.

    Proposed is every n-th, so that a tenth of the loop is left for them; the gain is the loop's
    time over what it is without the others.
    """
    spent = situation.breakdown.evaluation_s
    runs = _evaluations(situation)
    count = len(runs.begins)
    if count < _LEAST_RUNS or _is_little(situation, spent, _EVALUATION_SHARE):
        return None
    every = situation.train.steps / count
    factor = _fewer(situation, spent, _EVALUATION_LEFT)
    times = max(factor, _steps_to_an_epoch(situation, every))
    gain = situation.gain(spent * (1 - 1 / times))
    if gain < LEAST_GAIN:
        return None
    epoch = situation.steps_to_an_epoch
    each_epoch = bool(epoch) and every >= 0.8 * epoch
    if each_epoch and situation.share(spent) < _EPOCH_SHARE:
        return None
    less = f"evaluate every {counted(_nice(every * times), 'step')}, or on fewer pictures"
    if each_epoch:
        epochs = counted(max(2, round(every * times / epoch)), "epoch")
        less = (
            f"evaluate in larger batches or on fewer pictures, or every {epochs} (every "
            f"{counted(round(every * times), 'step')})"
        )
    return Diagnosis(
        "evaluation",
        f"evaluating takes {percent(situation.share(spent))} of the training loop: "
        f"{brief(spent / count)} after every {_ordinal(every)}",
        less,
        share=situation.share(spent),
        gain=gain,
        rule="OverallFrameworkMetrics",
    )


def checkpoints(situation: Situation) -> Diagnosis | None:
    """Saving takes a twentieth of the loop or more, three checkpoints at least.

    Proposed is every n-th, so that a fiftieth of the loop is left for them; the gain is the loop's
    time over what it is without the others.
    """
    begin, end = situation.stretch
    saved = Intervals(
        (one.start_us / 1e6, one.end_us / 1e6)
        for one in situation.profile.spans
        if one.kind == "checkpoint" and begin <= one.start_us / 1e6 <= end
    )
    spent, count = saved.total_s, len(saved.begins)
    if count < _LEAST_RUNS or _is_little(situation, spent, _CHECKPOINT_SHARE):
        return None
    every = situation.train.steps / count
    times = _fewer(situation, spent, _CHECKPOINT_LEFT)
    gain = situation.gain(spent * (1 - 1 / times))
    if gain < LEAST_GAIN:
        return None
    written = _written(situation)
    about = f", {size(written / count)} each" if written / count >= 1e5 else ""
    return Diagnosis(
        "checkpoints",
        f"saving checkpoints takes {percent(situation.share(spent))} of the training loop: "
        f"{brief(spent / count)} after every {_ordinal(every)}{about}",
        f"save every {counted(_nice(every * times), 'step')}, or only where the model is better",
        share=situation.share(spent),
        gain=gain,
        rule="OverallFrameworkMetrics",
    )


def _is_little(situation: Situation, spent: float, share: float) -> bool:
    return not situation.is_enough or situation.share(spent) < share


def _fewer(situation: Situation, spent: float, left: float) -> int:
    """Every how many-th is enough to leave only this share of the loop for it."""
    rest = max(situation.breakdown.loop_s - spent, 1e-9)
    return max(2, math.ceil(spent * (1 - left) / (left * rest)))


def _steps_to_an_epoch(situation: Situation, every: float) -> int:
    return max(1, round(situation.steps_to_an_epoch / every)) if every else 1


def _evaluations(situation: Situation) -> Intervals:
    """Each stretch of evaluation between two training steps."""
    train, profile = situation.train, situation.profile
    begin, end = situation.stretch
    stretches = [
        (one.start_us / 1e6, one.end_us / 1e6)
        for one in profile.spans
        if one.kind == "evaluation" and begin <= one.start_us / 1e6 <= end
    ]
    if stretches:
        return Intervals(stretches)
    evaluated = step_times(profile, Mode.EVAL)
    if not len(evaluated.starts_s):
        return Intervals([])
    groups = train.starts_s.searchsorted(evaluated.starts_s)
    cuts = np.flatnonzero(np.diff(groups))
    firsts = evaluated.starts_s[np.append(0, cuts + 1)]
    lasts = evaluated.ends_s[np.append(cuts, len(groups) - 1)]
    return Intervals.of(firsts, lasts)


def _written(situation: Situation) -> float:
    """Bytes that the job wrote to disks during the loop, as its processes are charged."""
    if situation.host is None:
        return 0.0
    found = readings.samples(situation.host, "Process", "BytesWritten", situation.stretch)
    mean = found.mean()
    return 0.0 if mean is None else mean * situation.breakdown.loop_s


def _ordinal(every: float) -> str:
    if every < 1.5:
        return "step"
    return f"{every:,.0f} steps" if every >= 9.5 else f"{every:.2g} steps"


def _nice(steps: float) -> int:
    """A round number of steps, not fewer."""
    if steps <= 10:
        return math.ceil(steps)
    unit = 5 * int(10 ** (math.floor(math.log10(steps)) - 1))
    return math.ceil(steps / unit) * unit
