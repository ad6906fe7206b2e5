"""Parameters of rules, as strings, by SageMaker's names and defaults."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import UsageError
from clary.formats.rule_parameters import (
    BUILT_IN_RULES,
    NOT_OFFERED,
    LossNotDecreasing,
    other_trials,
    own_parameters,
    parse_parameters,
)


@pytest.mark.parametrize("rule", sorted(set(BUILT_IN_RULES) - {"TensorVariance"}))
def test_every_rule_can_do_without_parameters(rule: str) -> None:
    parameters = parse_parameters(rule, {"rule_to_invoke": rule})
    assert parameters.given() == {}
    assert not parameters.published_defaults


@pytest.mark.parametrize(
    ("rule", "name", "default"),
    [
        ("VanishingGradient", "threshold", 1e-7),
        ("ExplodingTensor", "only_nan", False),
        ("DeadRelu", "threshold_inactivity", 1.0),
        ("DeadRelu", "threshold_layer", 50.0),
        ("DeadRelu", "tensor_regex", (".*relu_output",)),
        ("SaturatedActivation", "threshold_sigmoid_max", 16.99999),
        ("SaturatedActivation", "threshold_tanh_min", -9.4999),
        ("PoorWeightInitialization", "distribution_range", 0.001),
        ("PoorWeightInitialization", "patience", 5),
        ("PoorWeightInitialization", "steps", 10),
        ("WeightUpdateRatio", "epsilon", 1e-9),
        ("WeightUpdateRatio", "num_steps", None),
        ("AllZero", "threshold", 100.0),
        ("UnchangedTensor", "num_steps", 3),
        ("LossNotDecreasing", "diff_percent", 0.1),
        ("LossNotDecreasing", "mode", None),
        ("Overfit", "ratio_threshold", 0.1),
        ("Overtraining", "patience_validation", 10),
        ("ClassImbalance", "samples", 500),
        ("Confusion", "min_diag", 0.9),
        ("StalledTrainingRule", "threshold", 1800.0),
        ("CheckInputImages", "threshold_mean", 0.2),
        ("CheckInputImages", "regex", (".*hybridsequential0_input_0",)),
    ],
)
def test_defaults_are_those_published(rule: str, name: str, default: object) -> None:
    assert getattr(parse_parameters(rule, {}), name) == default


def test_strings_become_values_and_come_back() -> None:
    given = {"mode": "EVAL", "num_steps": "5", "use_losses_collection": "False"}
    parameters = parse_parameters("LossNotDecreasing", {**given, "collection_names": "a, b"})
    assert isinstance(parameters, LossNotDecreasing)
    assert (parameters.mode, parameters.num_steps) == ("EVAL", 5)
    assert not parameters.use_losses_collection
    assert parameters.collection_names == ("a", "b")
    assert parse_parameters("LossNotDecreasing", parameters.given()) == parameters


def test_none_and_empty_text_are_as_not_given() -> None:
    parameters = parse_parameters("WeightUpdateRatio", {"num_steps": "None", "epsilon": ""})
    assert parameters.given() == {}


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("*", (".*",)),
        ("relu.*,tanh.*", ("relu.*", "tanh.*")),
        ("conv.{1,3}weight", ("conv.{1,3}weight",)),
        ("(relu,tanh)", ("(relu,tanh)",)),
    ],
)
def test_regular_expressions_are_cut_at_commas_that_are_none_of_theirs(
    text: str, patterns: tuple[str, ...]
) -> None:
    assert parse_parameters("AllZero", {"tensor_regex": text}).tensor_regex == patterns  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("rule", "given", "words"),
    [
        ("VanishingGradient", {"threshold": "small"}, "is 'small' but must be a number"),
        ("VanishingGradient", {"threshold": "0"}, "must be greater than 0"),
        ("VanishingGradient", {"threshold": "nan"}, "must be a finite number"),
        ("VanishingGradient", {"treshold": "1"}, "did you mean threshold?"),
        ("DeadRelu", {"threshold_layer": "101"}, "less than or equal to 100"),
        ("DeadRelu", {"tensor_regex": "relu["}, "must be a regular expression"),
        ("DeadRelu", {"tensor_regex": "a{99999999999999999999}"}, "must be a regular expression"),
        ("TensorVariance", {}, "needs max_threshold, min_threshold or both"),
        ("LossNotDecreasing", {"mode": "PREDICT"}, "mode of LossNotDecreasing is 'PREDICT'"),
        ("Overfitting", {}, "did you mean Overfit?"),
        ("Nonsense", {}, "choose from VanishingGradient, "),
    ],
)
def test_what_cannot_be_used_is_one_sentence(rule: str, given: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_parameters(rule, given)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_rules_that_are_not_offered_are_refused_by_name() -> None:
    for rule, why in NOT_OFFERED.items():
        with pytest.raises(UsageError, match=f"rule {rule} is not offered: {why}"):
            parse_parameters(rule, {})


def test_what_belongs_to_the_request_is_no_parameter() -> None:
    given = {
        "rule_to_invoke": "SimilarAcrossRuns",
        "action_json": "[]",
        "source_s3_uri": "s3://b/k.py",
        "other_trial_1": "s3://b/two",
        "other_trial_0": "s3://b/one",
        "collection_names": "losses",
    }
    assert own_parameters(given) == {"collection_names": "losses"}
    assert other_trials(given) == ("s3://b/one", "s3://b/two")
    parse_parameters("SimilarAcrossRuns", given)


@given(
    st.sampled_from(sorted(BUILT_IN_RULES)),
    st.dictionaries(st.sampled_from(["threshold", "patience", "num_steps", "x"]), st.text()),
)
def test_anything_is_either_read_or_refused(rule: str, given: dict[str, str]) -> None:
    try:
        parameters = parse_parameters(rule, given)
    except UsageError:
        return
    assert parse_parameters(rule, parameters.given()) == parameters
