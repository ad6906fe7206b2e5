"""What every built-in rule keeps to, whatever a training has saved.

A rule is a function of its window; cutting a history into windows changes nothing; NaN, gaps, steps
of no mode and several workers are taken; what it says can be acted upon.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.debugger.rules import BUILT_IN
from clary.formats.findings import Finding
from clary.formats.rule_parameters import BUILT_IN_RULES
from clary.formats.tensor_log.entries import Histogram, Mode, Statistics
from clary.rules.rule import Rule
from clary.rules.runner import Now, Runner
from clary.rules.window import FOREVER, Window
from tests.rules.made_up import MadeUp, configured

# So that little data suffices, and with what is required.
SMALL = {
    "TensorVariance": {"max_threshold": "1", "min_threshold": "1e-9"},
    "ClassImbalance": {"samples": "8"},
    "CheckInputImages": {"threshold_samples": "8", "regex": "Net_input_0"},
    "LossNotDecreasing": {"num_steps": "2"},
    "PoorWeightInitialization": {"patience": "2"},
    "StalledTrainingRule": {"threshold": "1"},
}
JUDGES_SILENCE = "StalledTrainingRule"
W, B, G = "Net_fc.weight", "Net_fc.bias", "gradient/Net_fc.weight"
LOSS = "CrossEntropyLoss_output_0"

ODD = (0.0, 1.0, -1.0, 1e-9, 1e9, math.nan, math.inf, -math.inf)


def some(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers, odd ones among them in some tensors."""
    values = rng.normal(0, rng.choice([1e-9, 1.0, 30.0]), shape)
    return np.where(rng.random(shape) < rng.choice([0.0, 0.3, 1.0]), rng.choice(ODD, shape), values)


def some_statistics(rng: np.random.Generator) -> Statistics:
    def maybe(low: float) -> float | None:
        return rng.choice([None, max(low, float(rng.choice(ODD))), abs(float(rng.normal()))])

    return Statistics(
        size=int(rng.integers(1, 100)),
        zeros=rng.choice([None, 0]),
        nans=rng.choice([None, 1]),
        min=maybe(-math.inf),
        max=maybe(-math.inf),
        mean=maybe(-math.inf),
        std=maybe(0.0),
        l1=maybe(0.0),
        l2=maybe(0.0),
        update_l2=maybe(0.0),
        histogram=rng.choice([None, Histogram(-1.0, 1.0, (1, 2, 1))]),
    )


def training(seed: int, steps: int, worker: str = "worker_0") -> MadeUp:
    """Any mixture of tensors, modes and gaps; often long runs of one kind, as trainings are."""
    rng = np.random.default_rng(seed)
    source = MadeUp(worker)
    often = rng.choice([0.2, 0.8, 1.0])
    number = 0
    mode = Mode.TRAIN
    for _ in range(steps):
        number += int(rng.integers(1, 4))
        mode = Mode(int(rng.integers(1, 5))) if rng.random() < 0.3 else mode
        raw = {name: some(rng, *shape) for name, shape in SHAPES.items() if rng.random() < often}
        for name in ("labels", "predictions"):
            if rng.random() < often:
                raw[name] = rng.integers(0, 4, 4)
        missing = [name for name in (W, G) if name not in raw]
        source.add(
            mode,
            number=number,
            raw=raw,
            statistics={name: some_statistics(rng) for name in missing if rng.random() < often},
            units={"act_output_0": {"positive": rng.choice([0.0, 0.5], 3)}},
        )
    return source


SHAPES = {
    W: (4,),
    B: (4,),
    G: (4,),
    LOSS: (),
    "relu_output_0": (4, 2, 1, 1),
    "relu_input_0": (4, 2, 1, 1),
    "tanh_input_0": (4, 2, 1, 1),
    "Net_input_0": (4, 2, 1, 1),
}
trainings = st.builds(training, st.integers(0, 2**32), st.integers(0, 14))


def make(name: str, *, published: bool = False) -> Rule:
    given = {**SMALL.get(name, {}), **({"published_defaults": "true"} if published else {})}
    return configured(BUILT_IN[name], **given)


def view(source: MadeUp, after: int, until: int, *, ended: bool) -> Window:
    others = (MadeUp().losses([1.0, 2.0, 3.0]),)
    return Window(source, after=after, until=until, ended=ended, now=100.0, others=others)


def first_issue(rule: Rule, source: MadeUp, cuts: Sequence[int]) -> Finding | None:
    after = -1
    for until in cuts:
        for finding in rule.judge(view(source, after, until, ended=False)):
            if finding.kind == "issue":
                return finding
        after = until
    found = rule.judge(view(source, after, FOREVER, ended=True))
    return next((finding for finding in found if finding.kind == "issue"), None)


def _said(finding: Finding | None) -> str | None:
    # As text, where NaN equals NaN.
    return None if finding is None else finding.model_dump_json()


all_rules = pytest.mark.parametrize("name", sorted(BUILT_IN))
both_ways = pytest.mark.parametrize("published", [False, True], ids=["ours", "published"])


def test_rules_and_parameters_agree() -> None:
    assert BUILT_IN.keys() == BUILT_IN_RULES.keys()
    for name, rule in BUILT_IN.items():
        assert rule.parameters_model is BUILT_IN_RULES[name]
        assert make(name).name == name


@all_rules
@both_ways
@settings(max_examples=8)
@given(source=trainings, data=st.data())
def test_how_a_history_is_cut_does_not_matter(
    name: str, published: bool, source: MadeUp, data: st.DataObject
) -> None:
    if name == JUDGES_SILENCE:
        return
    rule = make(name, published=published)
    last = source.steps()[-1].number if source.steps() else 0
    cuts = sorted(data.draw(st.sets(st.integers(0, last + 1), max_size=5)))
    assert _said(first_issue(rule, source, cuts)) == _said(first_issue(rule, source, []))


def curves(seed: int, epochs: int, per_epoch: int) -> MadeUp:
    """Losses of epochs: they fall, stay, rise or explode."""
    rng = np.random.default_rng(seed)
    source = MadeUp()
    level, trend = 2.3, rng.choice([0.8, 0.99, 1.0, 1.1])
    for epoch in range(epochs):
        if rng.random() < 0.1:
            trend = rng.choice([0.9, 1.0, 1.5])
        source.losses(level * (1 + rng.normal(0, 0.05, per_epoch)))
        source.losses([level * (1 + 0.1 * epoch * rng.random())], Mode.EVAL)
        level *= trend
    return source


@pytest.mark.parametrize("name", ["LossNotDecreasing", "Overfit", "Overtraining"])
@both_ways
@settings(max_examples=15)
@given(
    source=st.builds(curves, st.integers(0, 2**32), st.integers(1, 12), st.sampled_from([10, 70])),
    data=st.data(),
)
def test_how_a_long_history_is_cut_does_not_matter(
    name: str, published: bool, source: MadeUp, data: st.DataObject
) -> None:
    rule = configured(BUILT_IN[name], **({"published_defaults": "true"} if published else {}))
    cuts = sorted(data.draw(st.sets(st.integers(0, source.steps()[-1].number), max_size=8)))
    assert _said(first_issue(rule, source, cuts)) == _said(first_issue(rule, source, []))


@all_rules
@both_ways
@settings(max_examples=5)
@given(source=trainings)
def test_a_window_is_judged_alike_each_time_and_well_explained(
    name: str, published: bool, source: MadeUp
) -> None:
    rule = make(name, published=published)
    whole = view(source, -1, FOREVER, ended=name != JUDGES_SILENCE)
    found = list(rule.judge(whole))
    for again in (rule, make(name, published=published)):
        assert [_said(one) for one in again.judge(whole)] == [_said(one) for one in found]
    for finding in found:
        assert finding.rule == name
        assert finding.message
        assert not finding.message.endswith(".")
        assert finding.remedy
        if finding.kind == "issue":
            assert finding.cause
            assert finding.worker == source.worker
            assert finding.value is not None
            assert finding.bound is not None
            if name != JUDGES_SILENCE:
                assert finding.tensor in source.names()
                assert finding.step is not None
        assert Finding.model_validate_json(finding.model_dump_json()).message == finding.message


@all_rules
@settings(max_examples=5)
@given(first=trainings, second=trainings)
def test_several_workers_are_looked_at_in_order(name: str, first: MadeUp, second: MadeUp) -> None:
    second.worker = "worker_1"
    ended = name != JUDGES_SILENCE
    alone = Runner(make(name), 0.0, others=(MadeUp(),))
    alone.look([first], Now(100.0, ended=ended))
    both = Runner(make(name), 0.0, others=(MadeUp(),))
    both.look([first, second], Now(100.0, ended=ended))
    assert both.judged >= alone.judged
    if alone.fired is not None:
        assert _said(both.fired) == _said(alone.fired)
        assert both.look([first, second], Now(200.0, ended=ended)) == []


@all_rules
def test_nothing_saved_is_told_with_what_to_do(name: str) -> None:
    rule = make(name)
    nothing = view(MadeUp(), -1, FOREVER, ended=True)
    assert list(rule.judge(nothing)) == []
    lacking = rule.lacks(nothing)
    if name == JUDGES_SILENCE:
        assert lacking is None
        return
    assert lacking is not None
    assert lacking.kind == "note"
    assert lacking.remedy


@all_rules
def test_parameters_come_back(name: str) -> None:
    model = BUILT_IN_RULES[name]
    given = SMALL.get(name, {})
    parameters = model.parse({**given, "start_step": "3", "published_defaults": "True"}, name)
    assert model.parse(parameters.given(), name) == parameters
