"""What a script does between the phases of its steps."""

from __future__ import annotations

from clary.profiler.causes.situation import LEAST_GAIN, Diagnosis, Situation
from clary.profiler.step_times import weighted_median
from clary.profiler.wording import brief, percent

_LEAST_SHARE = 0.15
_LEAST_FUNCTION_SHARE = 0.1
_OF_LIBRARIES = ("site-packages", "dist-packages", "<frozen", "<built-in", "~", "/lib/python")


def own_code(situation: Situation) -> Diagnosis | None:
    """What no phase explains takes 15 % of the loop or more.

    On an accelerator, what it computes meanwhile is not counted: there `.item()` waits for work
    that has to be done. The gain is the loop's time over what it is without it: the most there is.
    """
    train = situation.train
    spent = float(train.own_s.sum())
    if any(train.on_device):
        busy = float(train.device_s.sum())
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
