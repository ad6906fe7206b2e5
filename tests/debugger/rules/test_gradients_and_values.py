"""Rules on values: gradients that vanish, tensors that explode, are zero or vary too much."""

from __future__ import annotations

import numpy as np
import pytest

from clary.debugger.rules import AllZero, ExplodingTensor, TensorVariance, VanishingGradient
from clary.formats.tensor_log.entries import Mode, Statistics
from tests.rules.made_up import MadeUp, configured, findings, issue, why_not

W = "Net_fc.weight"
G = "gradient/Net_fc.weight"
LOSS = "CrossEntropyLoss_output_0"


def gradients(*means: float, name: str = G) -> MadeUp:
    source = MadeUp()
    for mean in means:
        source.add(raw={name: np.full(8, mean), LOSS: 2.0})
    return source


def test_a_gradient_under_the_threshold_vanishes() -> None:
    found = issue(configured(VanishingGradient), gradients(1e-3, 1e-5, 8e-8, 9e-8, 1e-9))
    assert found is not None
    assert (found.tensor, found.step, found.mode) == (G, 3, "TRAIN")
    assert found.value == pytest.approx(9e-8)
    assert found.bound == 1e-7
    assert "Net_fc.weight is 9e-08, under 1e-07" in found.message
    assert found.cause
    assert found.remedy


def test_a_gradient_over_the_threshold_is_well() -> None:
    assert issue(configured(VanishingGradient), gradients(1e-3, -2e-7, 1e-7)) is None
    assert issue(configured(VanishingGradient, threshold="1e-2"), gradients(1e-3, 1e-3)) is not None


def test_a_gradient_of_zero_has_another_cause() -> None:
    found = issue(configured(VanishingGradient), gradients(0.0, 0.0))
    assert found is not None
    assert "no gradient reaches the layer" in found.cause


def test_the_smallest_gradient_of_the_first_step_is_told() -> None:
    source = MadeUp()
    for _ in range(2):
        source.add(raw={f"gradient/Net_{layer}.weight": [10.0**-layer] for layer in range(12)})
    found = issue(configured(VanishingGradient), source)
    assert found is not None
    assert found.tensor == "gradient/Net_11.weight"
    assert "so do 3 others" in found.message


def test_a_residual_branch_may_begin_without_a_gradient() -> None:
    assert issue(configured(VanishingGradient), gradients(0.0, 1e-2, 1e-2)) is None
    assert issue(configured(AllZero), gradients(0.0, 1e-2, 1e-2)) is None
    bare = configured(VanishingGradient, published_defaults="true")
    assert issue(bare, gradients(0.0, 1e-2)) is not None
    assert why_not(configured(VanishingGradient), gradients(0.0)) is not None


def test_a_bias_that_a_normalisation_cancels_is_excused() -> None:
    source = MadeUp().add(
        raw={"gradient/Net_conv.bias": [1e-12], "gradient/Net_conv.weight": [1.0]}
    )
    assert issue(configured(VanishingGradient), source) is None
    assert issue(configured(VanishingGradient, published_defaults="true"), source) is not None


def test_gradients_of_a_training_that_has_converged_are_excused() -> None:
    source = MadeUp()
    for step in range(40):
        source.add(raw={LOSS: 2.0 * 0.7**step, G: [0.7**step * 1e-3]})
    assert issue(configured(VanishingGradient), source) is None
    assert issue(configured(VanishingGradient, published_defaults="true"), source) is not None


def test_statistics_do() -> None:
    source = MadeUp().add(statistics={G: Statistics(size=4, l1=4e-9)})
    source.add(statistics={G: Statistics(size=4, l1=4e-9)})
    found = issue(configured(VanishingGradient), source)
    assert found is not None
    assert found.value == pytest.approx(1e-9)


def test_without_gradients_it_says_what_to_save() -> None:
    lacking = why_not(configured(VanishingGradient), MadeUp().losses([1.0]))
    assert lacking is not None
    assert "DebugHookConfig" in lacking.remedy
    short = why_not(configured(VanishingGradient), gradients(0.1))
    assert short is not None
    assert "too short" in short.message and short.remedy.startswith("train for longer")


def test_nan_and_infinity_explode() -> None:
    source = MadeUp().add(raw={W: [1.0, 2.0]}).add(raw={W: [np.nan, np.inf]})
    found = issue(configured(ExplodingTensor), source)
    assert found is not None
    assert (found.tensor, found.step, found.value) == (W, 1, 2.0)
    assert "2 of 2 values" in found.message


def test_a_loss_scale_may_look_for_its_size() -> None:
    rule = configured(ExplodingTensor)
    assert issue(rule, gradients(*[np.inf] * 4, 1.0, np.nan, 1.0)) is None
    found = issue(rule, gradients(1.0, *[np.inf] * 6))
    assert found is not None
    assert (found.tensor, found.step) == (G, 5)
    ended = issue(rule, gradients(1.0, np.inf, np.inf))
    assert ended is not None
    assert ended.step == 2
    assert findings(rule, gradients(1.0, np.inf, np.inf), ended=False) == []
    weight = gradients(1.0, np.inf, np.inf).add(raw={W: [np.nan]})
    first = issue(rule, weight)
    assert first is not None
    assert first.tensor == W
    bare = configured(ExplodingTensor, published_defaults="true")
    assert issue(bare, gradients(1.0, np.inf, 1.0)) is not None


def test_only_nan_passes_infinity() -> None:
    rule = configured(ExplodingTensor, only_nan="True", tensor_regex="*")
    assert issue(rule, MadeUp().add(raw={W: [np.inf]})) is None
    assert issue(rule, MadeUp().add(raw={W: [np.nan]})) is not None


def test_only_the_tensors_asked_for_explode() -> None:
    rule = configured(ExplodingTensor, collection_names="losses")
    assert issue(rule, MadeUp().add(raw={W: [np.nan], LOSS: 1.0})) is None
    assert issue(rule, MadeUp().add(raw={W: [1.0], LOSS: np.nan})) is not None


def test_zeros_are_counted_in_percent() -> None:
    source = MadeUp().add(raw={"relu_output_0": [0.0, 0.0, 0.0, 1.0]})
    assert issue(configured(AllZero), source) is None
    found = issue(configured(AllZero, threshold="75"), source)
    assert found is not None
    assert found.value == 75.0


def test_a_bias_may_begin_with_zeros() -> None:
    rule = configured(AllZero, collection_names="biases")
    zero = {"Net_fc.bias": [0.0, 0.0], "gradient/Net_fc.bias": [1.0, 1.0]}
    assert issue(rule, MadeUp().add(raw=zero)) is None
    found = issue(rule, MadeUp().add(raw=zero).add(raw=zero))
    assert found is not None
    assert found.step == 1
    bare = configured(AllZero, collection_names="biases", published_defaults="1")
    assert issue(bare, MadeUp().add(raw=zero)) is not None


def test_a_frozen_bias_may_stay_zero() -> None:
    zero = {"Net_bn.bias": [0.0], G: [1.0]}
    assert (
        issue(configured(AllZero, tensor_regex=".*bias"), MadeUp().add(raw=zero).add(raw=zero))
        is None
    )


def test_a_variance_has_two_bounds() -> None:
    source = MadeUp().add(raw={W: [0.0, 4.0], LOSS: 3.0})
    high = issue(configured(TensorVariance, max_threshold="3"), source)
    low = issue(configured(TensorVariance, min_threshold="5"), source)
    assert high is not None
    assert low is not None
    assert (high.value, high.bound) == (4.0, 3.0)
    assert "over 3" in high.message
    assert "under 5" in low.message
    assert issue(configured(TensorVariance, min_threshold="3", max_threshold="5"), source) is None


def test_a_variance_that_was_not_saved_is_missed() -> None:
    source = MadeUp().add(statistics={W: Statistics(size=4, mean=1.0)})
    assert why_not(configured(TensorVariance, max_threshold="3"), source) is not None


def test_workers_are_judged_one_by_one() -> None:
    well, ill = gradients(1e-2, 1e-2), gradients(0.0, 0.0)
    ill.worker = "worker_1"
    found = issue(configured(VanishingGradient), well, ill)
    assert found is not None
    assert found.worker == "worker_1"


def test_steps_outside_are_not_judged() -> None:
    source = gradients(0.0, 0.0, 1e-2, 1e-2, 0.0, 0.0)
    assert issue(configured(VanishingGradient, start_step="1", end_step="5"), source) is None
    found = issue(configured(VanishingGradient, start_step="1"), source)
    assert found is not None
    assert found.step == 5


def test_a_step_of_no_mode_counts_over_all() -> None:
    source = MadeUp().add(Mode.EVAL, raw={LOSS: 1.0}).add(Mode.GLOBAL, raw={W: [np.nan]})
    (found,) = findings(configured(ExplodingTensor), source)
    assert (found.step, found.mode) == (1, None)
