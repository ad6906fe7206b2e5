"""What a script does between the phases of its steps, and between its steps."""

from __future__ import annotations

import numpy as np

from clary.formats.timeline.entries import PHASES
from clary.profiler import readings
from clary.profiler.causes.situation import LEAST_GAIN, Diagnosis, Situation
from clary.profiler.intervals import Intervals
from clary.profiler.step_times import weighted_median
from clary.profiler.wording import brief, percent

_LEAST_SHARE = 0.15
_LONG_PART = 0.5
"""Stretches of so much of the longest are told of together."""
_LONG_S = 120.0
"""Samples may be a minute apart: of less, their absence says nothing."""
_LEAST_FUNCTION_SHARE = 0.1
_OF_LIBRARIES = ("site-packages", "dist-packages", "<frozen", "<built-in", "~", "/lib/python")


def own_code(situation: Situation) -> Diagnosis | None:
    """What no phase explains takes 15 % of the loop or more, where forward passes were seen.

    On an accelerator, what it computes meanwhile is not counted: there `.item()` waits for work
    that has to be done. The gain is the loop's time over what it is without it: the most there is.
    """
    train = situation.train
    if not train.measured[PHASES.index("forward")]:
        return None
    spent = float(train.own_s.sum())
    if train.device_step_s is not None:
        busy = train.steps * train.device_step_s
        spent = min(spent, max(0.0, float(train.seconds.sum()) - busy - train.phase_s("data")))
    # Outliers are told of themselves.
    spent = min(spent, 1.5 * train.steps * _usual_own(situation))
    gain = situation.gain(spent)
    if not situation.is_enough or situation.share(spent) < _LEAST_SHARE or gain < LEAST_GAIN:
        return None
    if situation.is_clary:
        change = "profile it with --profile full, which names the functions"
    else:
        change = (
            "do what prints, logs, counts or calls .item() every 50 steps rather than at each one"
        )
    return Diagnosis(
        "own_code",
        f"{brief(spent / train.steps)} of each step ({percent(situation.share(spent))} of the "
        f"training loop) are the script's own, outside of loading, forward, backward and "
        f"optimizer{_function(situation)}",
        change,
        share=situation.share(spent),
        gain=gain,
        rule="OverallFrameworkMetrics",
    )


def unrecorded(situation: Situation) -> Diagnosis | None:
    """No step, evaluation, checkpoint or else was recorded for 15 % of the loop or more.

    The gain is the loop's time over what it is without those times; none where the machine was not
    sampled in the longest of them: it slept then, or its clock was set. Of Clary's own trainings it
    is not told: there is nothing in them that their user could do less often.
    """
    if not situation.is_enough or situation.clock_was_set_back or situation.is_mixed:
        return None
    if situation.is_clary:
        return None
    holes = _holes(situation)
    spent, count = holes.total_s, len(holes.begins)
    if not count or situation.share(spent) < _LEAST_SHARE:
        return None
    lengths = holes.ends - holes.begins
    longest = int(np.argmax(lengths))
    long = lengths >= _LONG_PART * lengths[longest]
    often = f", {int(long.sum())} times {brief(float(np.median(lengths[long])))}"
    most = often if long.sum() > 1 else ""
    after = int(situation.train.starts_s.searchsorted(holes.begins[longest], side="right")) - 1
    behind = ""
    if 0 <= after < len(situation.train.first):
        behind = f", {'the longest ' if long.sum() > 1 else ''}after step " + (
            f"{situation.train.first[after] + situation.train.merged[after] - 1:,.0f}"
        )
    loading = "" if situation.train.measured[PHASES.index("data")] else "loading data, "
    stopped = not _is_sampled(situation, (float(holes.begins[longest]), float(holes.ends[longest])))
    return Diagnosis(
        "own_code",
        f"neither steps nor evaluations or checkpoints were seen for {brief(spent)} "
        f"({percent(situation.share(spent))}) of the training loop{most}{behind}",
        "see why nothing was sampled there: the machine slept, or its clock was set"
        if stopped
        else f"see what runs there ({loading}metrics, plots, copies, an evaluation of its own), "
        "and do it less often or on fewer pictures",
        share=situation.share(spent),
        gain=None if stopped else situation.gain(spent),
        rule="OverallFrameworkMetrics",
    )


def _holes(situation: Situation) -> Intervals:
    """Stretches of the loop in which nothing was recorded."""
    profile, (begin, end) = situation.profile, situation.stretch
    every = profile.steps()
    starts = every["start_us"] / 1e6
    spans = np.asarray(
        [(one.start_us, one.end_us) for one in profile.spans if one.kind != "initialization"]
    )
    spans = spans.reshape(-1, 2) / 1e6
    known = Intervals.of(
        np.concatenate([starts, spans[:, 0]]),
        np.concatenate([starts + every["seconds"], spans[:, 1]]),
    )
    edges = np.concatenate([[begin], np.stack([known.begins, known.ends], axis=1).ravel(), [end]])
    holes = np.clip(edges, begin, end).reshape(-1, 2)
    return Intervals.of(holes[:, 0], holes[:, 1])


def _is_sampled(situation: Situation, stretch: readings.Stretch) -> bool:
    """Whether the machine was sampled in a stretch, as far as it ever was."""
    if situation.host is None or stretch[1] - stretch[0] < _LONG_S:
        return True
    ever = len(readings.cpu(situation.host).times)
    return not ever or len(readings.cpu(situation.host, stretch).times) > 1


def _usual_own(situation: Situation) -> float:
    train = situation.train
    return weighted_median(train.own_s / train.merged, train.merged)


def _function(situation: Situation) -> str:
    """The person's own function that takes most, where functions were recorded."""
    main = situation.profile.main
    for window in main.functions if main is not None else ():
        for one in window.functions:
            mine = not any(part in one.file for part in _OF_LIBRARIES)
            if mine and window.seconds and one.self_s >= _LEAST_FUNCTION_SHARE * window.seconds:
                share = percent(one.self_s / window.seconds)
                return f"; most in {one.name} ({one.file}:{one.line}), {share} of the time"
    return ""
