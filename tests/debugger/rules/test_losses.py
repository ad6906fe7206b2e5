"""Rules on losses: falling, overfitting, overtraining."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clary.debugger.rules import LossNotDecreasing, Overfit, Overtraining
from clary.formats.tensor_log.entries import Mode
from tests.rules.made_up import MadeUp, configured, issue, why_not

LOSS = "CrossEntropyLoss_output_0"


def at_steps(values: dict[int, float], mode: Mode = Mode.TRAIN) -> MadeUp:
    source = MadeUp()
    for number, value in values.items():
        source.add(mode, number=number, raw={LOSS: value})
    return source


def noisy(means: np.ndarray, noise: float, seed: int = 0) -> list[float]:
    return (means + np.random.default_rng(seed).normal(0, noise, len(means))).tolist()


def published(**given: str) -> LossNotDecreasing:
    rule = configured(LossNotDecreasing, published_defaults="true", **given)
    assert isinstance(rule, LossNotDecreasing)
    return rule


def number_of(source: MadeUp, rule: LossNotDecreasing) -> int | None:
    found = issue(rule, source)
    if found is None:
        return None
    return [step for step in source.steps() if step.mode.name == found.mode][found.step or 0].number


def test_published_example_of_a_flat_loss() -> None:
    source = at_steps({0: 0.30, 4: 0.33, 8: 0.31, 12: 0.30, 16: 0.28})
    assert number_of(source, published(num_steps="10", diff_percent="0")) is None
    assert number_of(source, published(num_steps="10")) == 12


def test_published_comparison_reaches_back_to_the_newest_loss_old_enough() -> None:
    # Saved every 3 steps: 12 is compared with 0, 24 with 12, and so on.
    values = {step: 10.0 - 0.1 * step for step in range(0, 36, 3)}
    assert number_of(at_steps(values), published()) is None
    assert number_of(at_steps({**values, 24: values[12]}), published()) == 24
    assert number_of(at_steps({**values, 21: 9.9}), published()) is None


def test_published_rise_has_a_bound_of_its_own() -> None:
    rule = published(increase_threshold_percent="5")
    assert number_of(at_steps({0: 1.0, 10: 1.04}), rule) is None
    assert number_of(at_steps({0: 1.0, 10: 1.06}), rule) == 10
    assert number_of(at_steps({0: 1.0, 10: 0.9995}), rule) == 10
    assert number_of(at_steps({0: 1.0, 10: 0.99}), rule) is None
    assert number_of(at_steps({0: 1.0, 10: math.nan}), rule) == 10


def test_published_mode_is_validation_where_there_is_one() -> None:
    source = MadeUp()
    for step in range(12):
        source.add(Mode.TRAIN, raw={LOSS: 1.0 - 0.05 * step})
    for _ in range(12):
        source.add(Mode.EVAL, raw={LOSS: 0.5})
    found = issue(published(), source)
    assert found is not None
    assert found.mode == "EVAL"
    assert issue(published(mode="TRAIN"), source) is None
    assert issue(published(mode="GLOBAL"), source) is not None


def test_noise_is_no_issue() -> None:
    for seed in range(10):
        falling = noisy(2.3 * np.exp(-np.arange(400) / 150) + 0.2, 0.3, seed)
        assert issue(configured(LossNotDecreasing), MadeUp().losses(falling)) is None


def test_a_long_training_may_fall_slowly() -> None:
    for seed in range(10):
        falling = noisy(2.0 * np.exp(-np.arange(2000) / 5000) + 0.3, 0.1, seed)
        assert issue(configured(LossNotDecreasing), MadeUp().losses(falling)) is None


def test_a_plateau_after_learning_is_no_issue() -> None:
    for seed in range(10):
        values = np.concatenate([np.linspace(2.3, 0.4, 60), np.full(600, 0.4)])
        source = MadeUp().losses(noisy(values, 0.1, seed))
        assert issue(configured(LossNotDecreasing), source) is None


def warmed_up(steps: int, per_epoch: int = 79) -> MadeUp:
    """200 classes, as a linear warm-up over 3000 steps has them: it falls by the square."""
    rng = np.random.default_rng(0)
    source = MadeUp()
    for step in range(steps):
        mean = 5.3 - 1.5 * (step / 1000) ** 2
        source.losses([mean + float(rng.normal(0, 0.05))])
        if step % per_epoch == per_epoch - 1:
            source.losses([mean], Mode.EVAL)
    return source


def test_a_learning_rate_that_is_warmed_up_is_given_time() -> None:
    assert issue(configured(LossNotDecreasing), warmed_up(1000), ended=False) is None
    assert issue(configured(LossNotDecreasing), warmed_up(1000)) is None
    ended = issue(configured(LossNotDecreasing), warmed_up(78))
    assert ended is not None
    assert "over 78 saved training steps" in ended.message


def test_a_training_that_goes_on_is_judged_after_600_steps() -> None:
    flat = MadeUp().losses(noisy(np.full(700, 2.3), 0.02))
    found = issue(configured(LossNotDecreasing), flat, ended=False)
    assert found is not None
    assert found.step is not None
    assert 600 <= found.step < 700


def test_a_training_that_was_resumed_is_no_untrained_network() -> None:
    source = MadeUp()
    for _ in range(5):
        source.losses(noisy(np.full(40, 1.6e-4), 1e-6), name="cross_entropy_loss_output_0")
        source.losses([1.6e-4], Mode.EVAL, name="cross_entropy_loss_output_0")
    assert issue(configured(LossNotDecreasing), source) is None
    guess = MadeUp()
    for _ in range(5):
        guess.losses(noisy(np.full(40, 0.69), 1e-2), name="cross_entropy_loss_output_0")
    found = configured(LossNotDecreasing)
    assert issue(found, guess, learning={"classes": 2}) is not None
    assert issue(found, guess, learning={"classes": 1000}) is None


def test_a_loss_that_never_falls() -> None:
    for seed in range(10):
        source = MadeUp().losses(noisy(np.full(600, 2.3), 0.08, seed))
        found = issue(configured(LossNotDecreasing), source)
        assert found is not None
        assert (found.step or 0) < 600
        assert found.bound == 2.0


def test_a_loss_that_diverges() -> None:
    values = np.concatenate([np.full(20, 2.3), 2.3 * 1.3 ** np.arange(40)])
    found = issue(configured(LossNotDecreasing), MadeUp().losses(noisy(values, 0.05)))
    assert found is not None
    assert "risen" in found.message
    assert (found.step or 0) < 50


def test_a_loss_that_explodes_at_once() -> None:
    values = [2.3, 2.4, 50.0, 900.0, 700.0, *[5.0] * 60]
    found = issue(configured(LossNotDecreasing), MadeUp().losses(values))
    assert found is not None
    assert found.step == 9


def test_a_loss_that_climbs_back() -> None:
    values = np.concatenate([np.linspace(4.9, 0.5, 200), np.linspace(0.5, 3.0, 100)])
    found = issue(configured(LossNotDecreasing), MadeUp().losses(noisy(values, 0.1)))
    assert found is not None
    assert 200 < (found.step or 0) < 280


def test_a_loss_that_is_no_number() -> None:
    found = issue(configured(LossNotDecreasing), MadeUp().losses([2.0, 1.9, math.nan, 1.8]))
    assert found is not None
    assert found.step == 2


def epochs(train: list[float], valid: list[float], *, per_epoch: int = 5) -> MadeUp:
    source = MadeUp()
    for epoch, (training, validation) in enumerate(zip(train, valid, strict=True)):
        rng = np.random.default_rng(epoch)
        source.losses((training * rng.uniform(0.9, 1.1, per_epoch)).tolist(), Mode.TRAIN)
        source.losses((validation * rng.uniform(0.9, 1.1, per_epoch)).tolist(), Mode.EVAL)
    return source


def test_a_validation_no_better_than_chance() -> None:
    training, validation = [2.3, 2.0, 1.5, 1.0], [2.4, 2.5, 2.7, 3.0]
    assert issue(configured(LossNotDecreasing), epochs(training, validation)) is None
    found = issue(configured(LossNotDecreasing), epochs(training, validation, per_epoch=20))
    assert found is not None
    assert found.mode == "EVAL"
    assert "of the first training steps" in found.message


def test_a_validation_on_another_scale_is_not_compared() -> None:
    source = epochs([2.3, 1.0, 0.5, 0.4], [230.0, 100.0, 60.0, 55.0])
    assert issue(configured(LossNotDecreasing), source) is None


def test_too_few_losses_are_missed() -> None:
    lacking = why_not(configured(LossNotDecreasing), at_steps({0: 1.0, 5: 1.0}))
    assert lacking is not None
    assert "too short for it: of the 10 steps" in lacking.message
    assert lacking.message.endswith("there were 5")
    assert "train for longer" in lacking.remedy
    assert "losses" in (why_not(configured(LossNotDecreasing), MadeUp()) or lacking).remedy


HEALTHY = ([2.3, 1.2, 0.8, 0.6, 0.45, 0.35], [1.5, 1.0, 0.85, 0.8, 0.79, 0.79])
RISING = ([2.3, 1.2, 0.8, 0.5, 0.3, 0.2], [1.5, 1.1, 1.0, 1.3, 1.6, 2.0])
BY_HEART = ([4.9, 2.0, 0.4, 0.1, 0.05, 0.03], [4.8, 4.0, 3.6, 3.5, 3.5, 3.5])


def test_overfit_by_a_rising_validation_loss() -> None:
    found = issue(configured(Overfit), epochs(*RISING))
    assert found is not None
    assert found.mode == "EVAL"
    assert found.step == 24  # the end of the fifth validation: the second one in a row
    assert found.value == pytest.approx((1.6 - 0.3) / 0.3, rel=0.2)
    assert "its best was" in found.message


def test_overfit_by_heart() -> None:
    found = issue(configured(Overfit), epochs(*BY_HEART))
    assert found is not None
    assert issue(configured(Overfit, patience="9"), epochs(*BY_HEART)) is None


def test_a_gap_alone_is_overfit_by_the_published_rule_only() -> None:
    assert issue(configured(Overfit), epochs(*HEALTHY)) is None
    bare = configured(Overfit, published_defaults="true")
    assert issue(bare, epochs(*HEALTHY)) is not None
    assert issue(bare, epochs([2.0, 1.5, 1.0, 0.9], [1.9, 1.5, 1.0, 0.9])) is None


def test_overfit_from_a_step_on() -> None:
    source = epochs(*RISING)
    assert issue(configured(Overfit, start_step="50"), source) is None


def test_overfit_by_losses_of_different_names() -> None:
    source = MadeUp()
    for epoch in range(10):
        source.losses([2.3 * 0.6**epoch] * 20, name="LabelSmoothingCrossEntropyLoss_output_0")
        validation = max(0.8, 2.3 * 0.7**epoch) + 0.15 * epoch
        source.losses([validation] * 5, Mode.EVAL)
    found = issue(configured(Overfit), source)
    assert found is not None
    assert found.tensor == "CrossEntropyLoss_output_0"
    assert why_not(configured(Overfit), source) is None


def test_overfit_needs_both_modes() -> None:
    lacking = why_not(configured(Overfit), MadeUp().losses([1.0, 0.9]))
    assert lacking is not None
    assert "EVAL" in lacking.message
    assert "set_mode" in lacking.remedy


def test_overtraining_counts_epochs() -> None:
    train = [2.0, 1.0, *[0.5] * 8]
    found = issue(
        configured(Overtraining), epochs(train, [2.0, 1.0, *[0.8 - 0.02 * n for n in range(8)]])
    )
    assert found is not None
    assert found.mode == "TRAIN"
    assert "5 passes" in found.message
    assert issue(configured(Overtraining), epochs(*HEALTHY)) is None


def test_overtraining_of_the_validation_loss() -> None:
    count = 14
    train = [2.0 - 0.1 * epoch for epoch in range(count)]
    found = issue(configured(Overtraining), epochs(train, [1.0] * count))
    assert found is not None
    assert found.mode == "EVAL"


def test_a_small_loss_needs_not_fall_by_much() -> None:
    train = [0.02 * 0.8**n for n in range(10)]
    assert issue(configured(Overtraining), epochs(train, train)) is None
    bare = configured(Overtraining, published_defaults="true")
    assert issue(bare, epochs(train, train)) is not None


def test_overtraining_as_published_counts_steps() -> None:
    bare = configured(Overtraining, published_defaults="true")
    source = MadeUp().losses([1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9])
    found = issue(bare, source)
    assert found is not None
    assert (found.step, found.value) == (6, 5.0)
    assert issue(bare, MadeUp().losses([1.0 - 0.01 * step for step in range(20)])) is None
