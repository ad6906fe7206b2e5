"""Rules on units, pictures and classes; on other runs and on silence."""

from __future__ import annotations

import numpy as np
import pytest

from clary.debugger.rules import (
    AllZero,
    CheckInputImages,
    ClassImbalance,
    Confusion,
    DeadRelu,
    SaturatedActivation,
    SimilarAcrossRuns,
    StalledTrainingRule,
    TensorVariance,
    UnchangedTensor,
)
from clary.formats.tensor_log.entries import Mode
from clary.rules.rule import Rule
from clary.rules.runner import Now, Runner
from tests.rules.made_up import MadeUp, configured, findings, issue, why_not

RELU = "layer1.0.relu_output_0"
TANH = "tanh_input_0"


def relu_output(alive: float) -> np.ndarray:
    """(16, 10, 4, 4) with a part of the channels over 0 now and then."""
    rng = np.random.default_rng(0)
    output = np.zeros((16, 10, 4, 4), dtype=np.float32)
    living = round(10 * alive)
    output[:, :living] = np.maximum(0, rng.normal(0, 1, (16, living, 4, 4)))
    return output


def of(name: str, *tensors: np.ndarray) -> MadeUp:
    source = MadeUp()
    for tensor in tensors:
        source.add(raw={name: tensor})
    return source


def test_a_layer_of_dead_units() -> None:
    found = issue(configured(DeadRelu), of(RELU, *[relu_output(0.3)] * 3))
    assert found is not None
    assert (found.tensor, found.step, found.value, found.bound) == (RELU, 2, pytest.approx(70), 50)


def test_half_of_the_units_may_be_dead() -> None:
    assert issue(configured(DeadRelu), of(RELU, *[relu_output(0.5)] * 3)) is None
    rule = configured(DeadRelu, threshold_layer="40")
    assert issue(rule, of(RELU, *[relu_output(0.5)] * 3)) is not None


def test_units_that_rest_for_a_batch_are_not_dead() -> None:
    tensors = [relu_output(1.0), relu_output(0.0), relu_output(1.0), relu_output(0.0)]
    assert issue(configured(DeadRelu), of(RELU, *tensors)) is None
    assert issue(configured(DeadRelu, published_defaults="true"), of(RELU, *tensors)) is not None


def test_at_the_end_one_capture_will_do() -> None:
    source = of(RELU, relu_output(0.0))
    assert issue(configured(DeadRelu), source, ended=False) is None
    assert issue(configured(DeadRelu), source, ended=True) is not None


def test_counted_units_do_whatever_the_layer_is_called() -> None:
    source = MadeUp()
    for _ in range(3):
        source.add(units={"blocks.0.bn1_output_0": {"positive": [0.0, 0.0, 0.4]}})
    found = issue(configured(DeadRelu), source)
    assert found is not None
    assert found.tensor == "blocks.0.bn1_output_0"
    assert why_not(configured(DeadRelu, tensor_regex=".*relu_output"), source) is not None


def test_without_units_it_says_what_to_save() -> None:
    lacking = why_not(configured(DeadRelu), MadeUp().losses([1.0]))
    assert lacking is not None
    assert ".*relu_output" in lacking.remedy


def test_saturated_tanh_and_sigmoid() -> None:
    rng = np.random.default_rng(0)
    wide = rng.choice([-30.0, 30.0], (16, 8))
    found = issue(configured(SaturatedActivation), of(TANH, wide, wide, wide))
    assert found is not None
    assert (found.value, found.bound) == (100.0, 50.0)
    assert (
        issue(configured(SaturatedActivation), of(TANH, *[rng.normal(0, 2, (16, 8))] * 3)) is None
    )
    between = np.full((16, 8), -20.0)
    assert issue(configured(SaturatedActivation), of("sigmoid_input_0", *[between] * 3)) is None
    rule = configured(SaturatedActivation, threshold_sigmoid_min="-10")
    assert issue(rule, of("sigmoid_input_0", *[between] * 3)) is not None


def test_counted_saturation_holds_for_the_published_limits_only() -> None:
    source = MadeUp()
    for _ in range(3):
        source.add(units={TANH: {"active": [0.0, 0.0, 0.001, 0.9]}})
    assert issue(configured(SaturatedActivation), source) is not None
    other = configured(SaturatedActivation, threshold_tanh_max="5")
    assert issue(other, source) is None
    assert why_not(other, source) is not None


def pictures(mean: float, count: int, *, steps: int = 10) -> MadeUp:
    rng = np.random.default_rng(0)
    source = MadeUp()
    for _ in range(steps):
        source.add(raw={"hybridsequential0_input_0": rng.normal(mean, 0.3, (count, 3, 4, 4))})
    return source


def test_pictures_that_are_not_normalised() -> None:
    found = issue(configured(CheckInputImages), pictures(0.45, 64))
    assert found is not None
    assert found.step == 7  # 8 times 64 pictures are the first 500
    assert found.value == pytest.approx(0.45, abs=0.02)
    assert issue(configured(CheckInputImages), pictures(0.05, 64)) is None


def test_few_pictures_do_at_the_end_where_it_is_certain() -> None:
    few = pictures(0.45, 20, steps=2)
    assert issue(configured(CheckInputImages), few, ended=False) is None
    assert issue(configured(CheckInputImages), few) is not None
    bare = configured(CheckInputImages, published_defaults="true")
    assert issue(bare, few) is None
    assert why_not(bare, few) is not None


def test_means_of_channels_do() -> None:
    source = MadeUp()
    for _ in range(10):
        source.add(units={"ResNet_input_0": {"channel_means": np.full((64, 3), [0.0, 0.0, 0.5])}})
    found = issue(configured(CheckInputImages), source)
    assert found is not None
    assert "channel 2 of ResNet_input_0" in found.message


def test_channels_may_come_last() -> None:
    source = MadeUp()
    for _ in range(10):
        source.add(raw={"in": np.full((64, 4, 4, 3), [0.0, 0.0, 0.5])})
    found = issue(configured(CheckInputImages, regex="in", channel="3"), source)
    assert found is not None
    assert "channel 2" in found.message


def classes(
    counts: list[int], *, right: float = 1.0, mode: Mode = Mode.EVAL, batch: int = 50
) -> MadeUp:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    guesses = rng.integers(0, len(counts), len(labels))
    predictions = np.where(rng.random(len(labels)) < right, labels, guesses)
    source = MadeUp()
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        source.add(mode, raw={"labels": labels[part], "predictions": predictions[part]})
    return source


def test_one_to_fifty_is_an_imbalance() -> None:
    found = issue(configured(ClassImbalance), classes([2000, 40]))
    assert found is not None
    assert found.bound == 10.0
    assert (found.step or 0) < 20
    assert "class 0 has" in found.message


def test_many_classes_of_a_few_pictures_are_none() -> None:
    assert issue(configured(ClassImbalance), classes([6] * 133)) is None
    assert issue(configured(ClassImbalance), classes([20] * 100, right=0.1)) is None
    bare = configured(ClassImbalance, published_defaults="true")
    assert issue(bare, classes([20] * 100, right=0.1)) is not None


def test_a_rare_class_that_is_never_predicted() -> None:
    source = MadeUp()
    labels = np.array([0] * 80 + [1] * 20)
    for _ in range(8):
        source.add(Mode.EVAL, raw={"labels": labels, "predictions": np.zeros(100, dtype=int)})
    found = issue(configured(ClassImbalance), source)
    assert found is not None
    assert "samples of class 1 are predicted wrongly" in found.message


def test_predictions_may_be_numbers_per_class() -> None:
    source = MadeUp()
    labels = np.array([0] * 80 + [1] * 20)
    for _ in range(8):
        logits = np.eye(2)[np.zeros(100, dtype=int)]
        source.add(Mode.EVAL, raw={"labels": labels, "predictions": logits})
    assert issue(configured(ClassImbalance, argmax="True"), source) is not None


def test_too_few_labels_are_missed() -> None:
    lacking = why_not(configured(ClassImbalance), classes([30, 30]))
    assert lacking is not None
    assert "60 labels were saved, fewer than 500" in lacking.message
    assert why_not(configured(ClassImbalance), MadeUp().losses([1.0])) is not None


@pytest.mark.parametrize(
    ("rule", "given"),
    [(AllZero, {}), (UnchangedTensor, {}), (TensorVariance, {"min_threshold": "1e-9"})],
)
def test_a_batch_of_one_class_is_no_dead_tensor(rule: type[Rule], given: dict[str, str]) -> None:
    source = MadeUp()
    for step in range(4):
        same = np.zeros(8, dtype=np.int64)
        source.add(Mode.EVAL, raw={"labels": same, "predictions": same, "x": [1.0 * step, 9.0]})
    assert issue(configured(rule, **given), source) is None
    named = issue(configured(rule, tensor_regex="labels", **given), source)
    assert named is not None
    assert named.tensor == "labels"
    assert issue(configured(rule, published_defaults="true", **given), source) is not None


def test_an_identity_passes_the_confusion_rule() -> None:
    assert issue(configured(Confusion), classes([50] * 4)) is None
    assert issue(configured(Confusion, published_defaults="true"), classes([50] * 4)) is None


def test_a_class_that_is_taken_for_another() -> None:
    source = MadeUp()
    labels = np.repeat([0, 1, 2], 20)
    predictions = np.where(labels == 1, np.tile([1, 2], 30), labels)
    source.add(Mode.EVAL, raw={"labels": labels, "predictions": predictions})
    found = issue(configured(Confusion), source)
    assert found is not None
    assert "50 % of the 20 samples of class 1 are predicted rightly" in found.message
    loose = configured(Confusion, min_diag="0.4")
    found = issue(loose, source)
    assert found is not None
    assert "predicted as class 2 are of class 1" in found.message
    assert found.value == pytest.approx(10 / 30)


def test_confusion_needs_labels_and_predictions() -> None:
    source = MadeUp().add(Mode.EVAL, raw={"labels": np.arange(3)})
    lacking = why_not(configured(Confusion), source)
    assert lacking is not None
    assert "'predictions'" in lacking.message


def test_runs_that_differ() -> None:
    first, second = MadeUp().losses([3, 2, 1]), MadeUp().losses([3, 2, 0.5])
    found = issue(configured(SimilarAcrossRuns), first, others=[second])
    assert found is not None
    assert (found.step, found.value) == (2, 0.5)
    assert issue(configured(SimilarAcrossRuns), first, others=[first]) is None
    assert (
        issue(configured(SimilarAcrossRuns, tensor_regex="other"), first, others=[second]) is None
    )
    shorter = MadeUp().losses([3])
    assert issue(configured(SimilarAcrossRuns), first, others=[shorter]) is None


def test_another_run_must_be_there() -> None:
    assert why_not(configured(SimilarAcrossRuns), MadeUp().losses([1.0])) is not None


def test_silence_is_a_stalled_training() -> None:
    rule = configured(StalledTrainingRule, threshold="60")
    source = MadeUp().losses([1.0, 1.0])  # saved at 0 s and 1 s
    assert not findings(rule, source, ended=False, seconds=60.0)
    (found,) = findings(rule, source, ended=False, seconds=62.0)
    assert (found.value, found.bound) == (61.0, 60.0)
    assert not findings(rule, source, ended=True, seconds=62.0)


def test_silence_from_the_start_is_one_too() -> None:
    runner = Runner(configured(StalledTrainingRule, threshold="60"), began=100.0)
    assert not runner.look([MadeUp()], Now(150.0))
    (found,) = runner.look([MadeUp()], Now(161.0))
    assert "since the start" in found.message


def test_the_machines_sleep_is_no_silence() -> None:
    source = of("x", np.zeros(2), np.zeros(2))
    asleep = Now(8 * 3600.0, awake_since=8 * 3600.0 - 5)
    assert Runner(configured(StalledTrainingRule), 0.0).look([source], asleep) == []
    awake = Now(9 * 3600.0, awake_since=8 * 3600.0 - 5)
    (found,) = Runner(configured(StalledTrainingRule), 0.0).look([source], awake)
    assert found.value == pytest.approx(3605)


def test_rare_captures_are_no_silence() -> None:
    source = MadeUp()
    for number in (0, 500, 1000):
        source.add(number=number, raw={"x": 1.0})
    rule = configured(StalledTrainingRule, threshold="60")
    assert not findings(rule, source, ended=False, seconds=2000.0)
    assert findings(rule, source, ended=False, seconds=2600.0)
    bare = configured(StalledTrainingRule, threshold="60", published_defaults="true")
    assert findings(bare, source, ended=False, seconds=1100.0)
