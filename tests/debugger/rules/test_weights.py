"""Rules on weights: how they change, that they do, and how they begin."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clary.debugger.rules import PoorWeightInitialization, UnchangedTensor, WeightUpdateRatio
from clary.formats.tensor_log.entries import Mode, Statistics
from tests.rules.made_up import MadeUp, configured, findings, issue, why_not

W = "Net_fc.weight"
G = "gradient/Net_fc.weight"
LOSS = "CrossEntropyLoss_output_0"


def weights(*values: float, gradient: bool = True, mode: Mode = Mode.TRAIN) -> MadeUp:
    source = MadeUp()
    for value in values:
        raw = {W: np.full(4, value), **({G: np.ones(4)} if gradient else {})}
        source.add(mode, raw=raw)
    return source


def by_norms(*updates: float | None) -> MadeUp:
    source = MadeUp()
    for update in updates:
        source.add(
            statistics={
                W: Statistics(size=4, l2=2.0, update_l2=update),
                G: Statistics(size=4, l2=1.0),
            }
        )
    return source


def test_a_weight_that_grows_too_fast() -> None:
    found = issue(configured(WeightUpdateRatio), weights(1.0, 1.1, 20.0))
    assert found is not None
    assert (found.step, found.bound) == (2, 10.0)
    assert found.value == pytest.approx(18.9 / 1.1, rel=1e-6)


def test_a_weight_that_stays() -> None:
    found = issue(configured(WeightUpdateRatio), weights(1.0, 1.0, 1.0))
    assert found is not None
    assert (found.step, found.value, found.bound) == (2, 0.0, 1e-8)
    assert "learning rate is zero" in found.cause


def test_one_step_without_a_change_is_no_issue_but_by_the_published_rule() -> None:
    source = weights(1.0, 1.0, 1.1, 1.1, 1.2)
    assert issue(configured(WeightUpdateRatio), source) is None
    found = issue(configured(WeightUpdateRatio, published_defaults="true"), source)
    assert found is not None
    assert found.step == 1


def test_norms_of_changes_do() -> None:
    assert issue(configured(WeightUpdateRatio), by_norms(None, 1e-3, 1e-3)) is None
    assert issue(configured(WeightUpdateRatio), by_norms(None, 0.0, 0.0)) is not None
    found = issue(configured(WeightUpdateRatio), by_norms(None, 21.0))
    assert found is not None
    assert found.value == pytest.approx(10.5)


def test_a_ratio_over_several_steps() -> None:
    source = weights(1.0, 1.5, 2.0, 2.5, 3.0)
    assert issue(configured(WeightUpdateRatio, large_threshold="0.9"), source) is None
    rule = configured(WeightUpdateRatio, large_threshold="0.9", num_steps="2")
    found = issue(rule, source)
    assert found is not None
    assert found.step == 2


def test_weights_of_zero_may_grow() -> None:
    source = weights(0.0, 0.1, 0.2)
    assert issue(configured(WeightUpdateRatio), source) is None
    assert issue(configured(WeightUpdateRatio, published_defaults="true"), source) is not None


@pytest.mark.parametrize("rule", [WeightUpdateRatio, UnchangedTensor])
def test_a_frozen_layer_may_stay(rule: type) -> None:
    source = MadeUp()
    for step in range(6):
        raw = {"Net_conv1.weight": [1.0, 2.0], W: [step + 1.0], G: [1.0]}
        source.add(raw=raw)
    judged = configured(
        rule, **({"collection_names": "weights"} if rule is UnchangedTensor else {})
    )
    assert issue(judged, source) is None


@pytest.mark.parametrize("rule", [WeightUpdateRatio, UnchangedTensor])
def test_without_gradients_a_layer_may_stay_while_another_learns(rule: type) -> None:
    given = {"collection_names": "weights"} if rule is UnchangedTensor else {}
    learning, stuck = MadeUp(), MadeUp()
    for step in range(6):
        learning.add(raw={"Net_conv1.weight": [1.0, 2.0], W: [step + 1.0]})
        stuck.add(raw={"Net_conv1.weight": [1.0, 2.0], W: [1.0]})
    assert issue(configured(rule, **given), learning) is None
    assert issue(configured(rule, **given), stuck) is not None


@pytest.mark.parametrize("rule", [WeightUpdateRatio, UnchangedTensor])
def test_validation_does_not_change_weights(rule: type) -> None:
    given = {"collection_names": "weights"} if rule is UnchangedTensor else {}
    said, unsaid = MadeUp(), MadeUp()
    for epoch in range(3):
        for step in range(4):
            raw = {W: [epoch * 4 + step + 1.0], G: [1.0]}
            said.add(Mode.TRAIN, raw=raw)
            unsaid.add(Mode.GLOBAL, raw=raw)
        for _ in range(5):
            said.add(Mode.EVAL, raw={W: [epoch * 4 + 4.0]})
            unsaid.add(Mode.GLOBAL, raw={W: [epoch * 4 + 4.0]})
    assert issue(configured(rule, **given), said) is None
    assert issue(configured(rule, **given), unsaid) is None


def test_one_capture_is_too_few() -> None:
    assert why_not(configured(WeightUpdateRatio), weights(1.0)) is not None
    assert why_not(configured(WeightUpdateRatio), weights(1.0, 1.1)) is None
    assert why_not(configured(UnchangedTensor), weights(1.0, 1.1)) is not None


def test_unchanged_fires_at_the_third_of_three_equal_values() -> None:
    source = MadeUp()
    for _ in range(3):
        source.add(raw={"custom": [1.0, 2.0]})
    found = issue(configured(UnchangedTensor, tensor_regex="custom"), source)
    assert found is not None
    assert found.step == 2
    assert issue(configured(UnchangedTensor, tensor_regex="custom", num_steps="4"), source) is None


def test_unchanged_keeps_to_the_tolerances() -> None:
    source = MadeUp()
    for step in range(3):
        source.add(raw={"custom": [1.0 + 1e-4 * step]})
    assert issue(configured(UnchangedTensor), source) is None
    assert issue(configured(UnchangedTensor, rtol="1e-3"), source) is not None


def test_a_large_weight_may_learn_by_a_millionth() -> None:
    source = weights(56.0, 56.0001, 56.0002, 56.0003)
    assert issue(configured(UnchangedTensor, collection_names="weights"), source) is None
    rule = configured(UnchangedTensor, collection_names="weights", rtol="1e-5")
    assert issue(rule, source) is not None


def test_nan_equals_nan_only_where_asked() -> None:
    source = MadeUp()
    for _ in range(3):
        source.add(raw={"custom": [math.nan]})
    assert issue(configured(UnchangedTensor), source) is None
    assert issue(configured(UnchangedTensor, equal_nan="True"), source) is not None


def test_unchanged_by_statistics() -> None:
    source, moving = MadeUp(), MadeUp()
    for step in range(3):
        source.add(statistics={"tanh_output_0": Statistics(size=9, mean=1.0, std=2.0)})
        moving.add(statistics={"tanh_output_0": Statistics(size=9, mean=1.0, std=2.0 + step)})
    assert issue(configured(UnchangedTensor), source) is not None
    assert issue(configured(UnchangedTensor), moving) is None
    weights_alone = configured(UnchangedTensor, collection_names="weights")
    assert issue(weights_alone, by_norms(None, 0.0, 0.0)) is not None
    assert issue(weights_alone, by_norms(None, 1e-2, 1e-2)) is None


def a_start(
    *, variances: tuple[float, float] = (1.0, 2.0), gradient: float = 0.1, loss_falls: bool = True
) -> MadeUp:
    rng = np.random.default_rng(0)
    source = MadeUp()
    for step in range(10):
        raw = {
            f"{layer}.relu_input_0": rng.normal(0, variances[layer] ** 0.5, 400) for layer in (0, 1)
        }
        raw[W] = rng.uniform(-1, 1, 2000) + step
        raw[G] = rng.normal(0, gradient, 400)
        raw[LOSS] = 3.0 - 0.1 * step if loss_falls else 3.0 + 0.01 * step
        source.add(raw=raw)
    return source


POOR = PoorWeightInitialization


def test_a_good_start_raises_nothing() -> None:
    assert issue(configured(POOR), a_start()) is None
    assert issue(configured(POOR, published_defaults="true"), a_start()) is None


def test_the_published_rule_fires_for_each_sign() -> None:
    def bare(source: MadeUp) -> str:
        found = issue(configured(POOR, published_defaults="true"), source)
        assert found is not None
        return found.message

    assert "variances of activation inputs" in bare(a_start(variances=(1.0, 30.0)))
    assert "5th and 95th percentile of the gradient of Net_fc.weight" in bare(
        a_start(gradient=1e-4)
    )
    assert "has not fallen under 3 for 5 steps" in bare(a_start(loss_falls=False))


def test_a_sign_counts_when_a_new_network_does_not_learn() -> None:
    assert issue(configured(POOR), a_start(variances=(1.0, 30.0))) is None
    found = issue(configured(POOR), a_start(variances=(1.0, 30.0), loss_falls=False))
    assert found is not None
    assert found.step == 5
    assert found.bound == 10.0


def test_a_pretrained_network_is_not_judged() -> None:
    source = a_start(variances=(1.0, 30.0), gradient=1e-5, loss_falls=False)
    assert issue(configured(POOR), source, learning={"pretrained": False}) is not None
    (note,) = findings(configured(POOR), source, learning={"pretrained": True})
    assert note.kind == "note"
    assert "pretrained" in note.message


def test_pretrained_weights_are_known_by_their_tails_and_norms() -> None:
    rng = np.random.default_rng(0)
    ill = a_start(variances=(1.0, 30.0), loss_falls=False)
    tails, norms = MadeUp(), MadeUp()
    for step in range(10):
        held = {name: ill.raw(name, step) for name in ill.names()}
        heavy = rng.standard_t(3, 2000)
        tails.add(raw={**held, W: heavy})
        norms.add(raw={**held, "Net_bn1.weight": rng.uniform(0.2, 2.0, 64)})
    assert issue(configured(POOR), tails) is None
    assert issue(configured(POOR), norms) is None


def test_a_residual_branch_that_begins_with_zeros_is_new() -> None:
    ill = a_start(variances=(1.0, 30.0), loss_falls=False)
    zeros = MadeUp()
    for step in range(10):
        held = {name: ill.raw(name, step) for name in ill.names()}
        zeros.add(raw={**held, "Net_layer1.bn2.weight": np.full(64, 0.1 * step)})
    assert issue(configured(POOR), zeros) is not None


@pytest.mark.parametrize("variances", [(0.0, 1.0), (1e-8, 1.0), (math.nan, 1.0)])
def test_what_no_network_can_learn_from_is_told_at_once(variances: tuple[float, float]) -> None:
    found = issue(configured(POOR), a_start(variances=variances), learning={"pretrained": True})
    assert found is not None
    assert found.step == 0


def test_without_signals_it_says_what_to_save() -> None:
    lacking = why_not(configured(POOR), MadeUp().losses([1.0]))
    assert lacking is not None
    assert ".*relu_input" in lacking.message
