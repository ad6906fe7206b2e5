"""The rules that judge a training's tensors: their names and parameters, as SageMaker has them.

Parameters arrive as strings. The service validates them by this table when a job is created, and
the rules (`clary.debugger.rules`) read theirs from the same models.

Sources: the names, parameters and defaults that AWS publishes in its list of built-in rules.
Beyond them every rule takes `start_step`, `end_step` and `published_defaults`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from clary.errors import UsageError
from clary.formats.rule_parameter_types import (
    Count,
    Names,
    NonNegative,
    Patterns,
    Percent,
    Positive,
    RuleParameters,
    split_names,
)

# What stands among a rule's parameters in a request, and is no parameter of the rule.
RULE_KEY = "rule_to_invoke"
SOURCE_KEY = "source_s3_uri"
ACTIONS_KEY = "action_json"
OTHER_TRIAL_KEY = re.compile(r"other_trials?(_\d+)?")
REQUEST_KEYS = (RULE_KEY, SOURCE_KEY, ACTIONS_KEY, "base_trial")

# Known to SageMaker and not offered, with the reason.
NOT_OFFERED: Mapping[str, str] = {
    "NLPSequenceRatio": "it judges sequences of tokens, and Clary trains on pictures",
    "FeatureImportanceOverweight": "it judges XGBoost's features, and Clary trains networks",
    "TreeDepth": "it judges XGBoost's trees, and Clary trains networks",
    "CreateXgboostReport": "it reports on XGBoost, and Clary trains networks",
}


class Tensors(RuleParameters):
    """Which tensors: the union of both; every one that was saved where neither is given."""

    collection_names: Names | None = Field(None, description="collections, comma-separated")
    tensor_regex: Patterns | None = Field(None, description="regular expressions of names")


class VanishingGradient(RuleParameters):
    """Of rule VanishingGradient."""

    threshold: Positive = Field(1e-7, description="the least mean of a gradient's absolute values")


class ExplodingTensor(Tensors):
    """Of rule ExplodingTensor."""

    only_nan: bool = Field(False, description="look for NaN alone, not for infinity")


class DeadRelu(RuleParameters):
    """Of rule DeadRelu."""

    tensor_regex: Patterns = Field((".*relu_output",), description="outputs of ReLU layers")
    threshold_inactivity: Percent = Field(
        1.0, description="a unit is dead that is over 0 in fewer percent of the cases"
    )
    threshold_layer: Percent = Field(
        50.0, description="the percentage of a layer's units that may be dead"
    )


class SaturatedActivation(RuleParameters):
    """Of rule SaturatedActivation."""

    collection_names: Names | None = Field(None, description="collections, comma-separated")
    tensor_regex: Patterns = Field(
        (".*tanh_input|.*sigmoid_input",), description="inputs of tanh and sigmoid layers"
    )
    threshold_tanh_min: float = Field(-9.4999, description="tanh is saturated below")
    threshold_tanh_max: float = Field(9.4999, description="tanh is saturated above")
    threshold_sigmoid_min: float = Field(-23.0, description="sigmoid is saturated below")
    threshold_sigmoid_max: float = Field(16.99999, description="sigmoid is saturated above")
    threshold_inactivity: Percent = Field(
        1.0, description="a unit is saturated whose input is between in fewer percent of the cases"
    )
    threshold_layer: Percent = Field(
        50.0, description="the percentage of a layer's units that may be saturated"
    )


class PoorWeightInitialization(RuleParameters):
    """Of rule PoorWeightInitialization."""

    activation_inputs_regex: Patterns = Field(
        (".*relu_input",), description="inputs of activation layers"
    )
    threshold: Positive = Field(
        10.0, description="the largest ratio of the variances of two layers' activation inputs"
    )
    distribution_range: NonNegative = Field(
        0.001, description="the least distance between the 5th and 95th percentile of a gradient"
    )
    patience: Count = Field(5, description="steps without a lower loss")
    steps: Count = Field(10, description="how many steps are judged")


class WeightUpdateRatio(RuleParameters):
    """Of rule WeightUpdateRatio."""

    num_steps: Count | None = Field(
        None, description="compare with weights at least so many steps older; the last saved"
    )
    large_threshold: Positive = Field(10.0, description="the largest ratio of update to weights")
    small_threshold: NonNegative = Field(1e-8, description="the least ratio of update to weights")
    epsilon: Positive = Field(1e-9, description="added to the weights' norm")


class AllZero(Tensors):
    """Of rule AllZero."""

    threshold: Percent = Field(100.0, description="the percentage of zeros that is too many")


class UnchangedTensor(Tensors):
    """Of rule UnchangedTensor."""

    num_steps: Annotated[int, Field(ge=2)] = Field(3, description="so many values in a row")
    rtol: NonNegative = Field(1e-5, description="relative tolerance of equality")
    atol: NonNegative = Field(1e-8, description="absolute tolerance of equality")
    equal_nan: bool = Field(False, description="whether NaN equals NaN")


class TensorVariance(Tensors):
    """Of rule TensorVariance."""

    max_threshold: NonNegative | None = Field(None, description="the largest variance")
    min_threshold: NonNegative | None = Field(None, description="the least variance")

    @model_validator(mode="after")
    def _one_of_both(self) -> TensorVariance:
        if self.max_threshold is None and self.min_threshold is None:
            raise ValueError("TensorVariance needs max_threshold, min_threshold or both")
        return self


class LossNotDecreasing(Tensors):
    """Of rule LossNotDecreasing."""

    use_losses_collection: bool = Field(True, description="judge the collection `losses` too")
    num_steps: Count = Field(10, description="steps between two comparisons")
    diff_percent: float = Field(0.1, description="by so many percent the loss must fall")
    increase_threshold_percent: NonNegative = Field(
        5.0, description="by so many percent the loss may rise"
    )
    mode: Literal["TRAIN", "EVAL", "GLOBAL"] | None = Field(
        None, description="of which mode: TRAIN, EVAL, GLOBAL"
    )


class Overfit(RuleParameters):
    """Of rule Overfit."""

    tensor_regex: Patterns | None = Field(None, description="names of losses")
    patience: Annotated[int, Field(ge=0)] = Field(1, description="so many times may be over it")
    ratio_threshold: NonNegative = Field(
        0.1, description="how far the validation loss may be over the training loss, relatively"
    )


class Overtraining(RuleParameters):
    """Of rule Overtraining."""

    patience_train: Count = Field(5, description="without a better training loss")
    patience_validation: Count = Field(10, description="without a better validation loss")
    delta: NonNegative = Field(0.01, description="by so much a loss must fall to be better")


class ClassImbalance(RuleParameters):
    """Of rule ClassImbalance."""

    threshold_imbalance: Annotated[float, Field(ge=1)] = Field(
        10.0, description="the largest ratio of the sizes of two classes"
    )
    threshold_misprediction: Annotated[float, Field(ge=0, le=1)] = Field(
        0.7, description="the largest part of a class that may be predicted wrongly"
    )
    samples: Count = Field(500, description="labels to see before judging")
    argmax: bool = Field(False, description="predictions hold a number per class")
    labels_regex: Patterns = Field((".*labels",), description="names of labels")
    predictions_regex: Patterns = Field((".*predictions",), description="names of predictions")


class Confusion(RuleParameters):
    """Of rule Confusion."""

    category_no: Annotated[int, Field(ge=2)] | None = Field(
        None, description="the number of classes; what is seen"
    )
    labels: str = Field("labels", description="the labels' name")
    predictions: str = Field("predictions", description="the predictions' name")
    labels_collection: str = Field("labels", description="the labels' collection")
    predictions_collection: str = Field("predictions", description="the predictions' collection")
    min_diag: Annotated[float, Field(ge=0, le=1)] = Field(
        0.9, description="the least part of a class that must be predicted rightly"
    )
    max_off_diag: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="the largest part of a predicted class that may be another one"
    )


class SimilarAcrossRuns(Tensors):
    """Of rule SimilarAcrossRuns; the other run is given beside the parameters."""


class StalledTrainingRule(RuleParameters):
    """Of rule StalledTrainingRule."""

    threshold: Positive = Field(1800.0, description="seconds without a new tensor")
    stop_training_on_fire: bool = Field(False, description="stop the job")
    training_job_name_prefix: str | None = Field(
        None, description="of the job to stop; nothing is stopped where several fit"
    )


class CheckInputImages(RuleParameters):
    """Of rule CheckInputImages."""

    threshold_mean: Positive = Field(0.2, description="how far a channel's mean may be from 0")
    threshold_samples: Count = Field(500, description="pictures to see before judging")
    regex: Patterns = Field((".*hybridsequential0_input_0",), description="names of inputs")
    channel: Annotated[int, Field(ge=1, le=3)] = Field(
        1, description="which axis holds the channels, where the first one counts pictures"
    )


BUILT_IN_RULES: Mapping[str, type[RuleParameters]] = {
    model.__name__: model
    for model in (
        VanishingGradient,
        ExplodingTensor,
        DeadRelu,
        SaturatedActivation,
        PoorWeightInitialization,
        WeightUpdateRatio,
        AllZero,
        UnchangedTensor,
        TensorVariance,
        LossNotDecreasing,
        Overfit,
        Overtraining,
        ClassImbalance,
        Confusion,
        SimilarAcrossRuns,
        StalledTrainingRule,
        CheckInputImages,
    )
}
"""The parameters of each built-in rule, by the name of `rule_to_invoke`."""


def parse_parameters(rule: str, given: Mapping[str, str]) -> RuleParameters:
    """The parameters of a built-in rule.

    Args:
        rule: the name of `rule_to_invoke`.
        given: all that stands in a request's RuleParameters; its own keys are left out.

    Raises:
        UsageError: the rule is not offered, or one line per parameter that cannot be used.
    """
    model = BUILT_IN_RULES.get(rule)
    if model is None:
        raise UsageError(_unknown_rule(rule))
    return model.parse(own_parameters(given), rule)


def own_parameters(given: Mapping[str, str]) -> dict[str, str]:
    """What is a rule's own among a request's RuleParameters."""
    return {
        name: text
        for name, text in given.items()
        if name not in REQUEST_KEYS and not OTHER_TRIAL_KEY.fullmatch(name)
    }


def other_trials(given: Mapping[str, str]) -> tuple[str, ...]:
    """Where the tensors of other runs are, of a request's RuleParameters."""
    named = sorted(name for name in given if OTHER_TRIAL_KEY.fullmatch(name))
    return tuple(part for name in named for part in split_names(given[name]))


def _unknown_rule(rule: str) -> str:
    if rule in NOT_OFFERED:
        return f"rule {rule} is not offered: {NOT_OFFERED[rule]}"
    near = difflib.get_close_matches(rule, BUILT_IN_RULES, n=1)
    hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(BUILT_IN_RULES)}"
    return f"there is no built-in rule {rule!r}: {hint}"
