"""The rules that Clary has, by the names that SageMaker gives them.

A file each; what they share stands in `scanning` (walking through a window), `learning` (frozen and
pretrained layers), `losses` and `loss_trend`, `activation_units`, `labels` and `comparing`.
"""

from __future__ import annotations

from collections.abc import Mapping

from clary.debugger.rules.all_zero import AllZero
from clary.debugger.rules.check_input_images import CheckInputImages
from clary.debugger.rules.class_imbalance import ClassImbalance
from clary.debugger.rules.confusion import Confusion
from clary.debugger.rules.dead_relu import DeadRelu
from clary.debugger.rules.exploding_tensor import ExplodingTensor
from clary.debugger.rules.loss_not_decreasing import LossNotDecreasing
from clary.debugger.rules.overfit import Overfit
from clary.debugger.rules.overtraining import Overtraining
from clary.debugger.rules.poor_weight_initialization import PoorWeightInitialization
from clary.debugger.rules.saturated_activation import SaturatedActivation
from clary.debugger.rules.similar_across_runs import SimilarAcrossRuns
from clary.debugger.rules.stalled_training import StalledTrainingRule
from clary.debugger.rules.tensor_variance import TensorVariance
from clary.debugger.rules.unchanged_tensor import UnchangedTensor
from clary.debugger.rules.vanishing_gradient import VanishingGradient
from clary.debugger.rules.weight_update_ratio import WeightUpdateRatio
from clary.rules.rule import Rule

BUILT_IN: Mapping[str, type[Rule]] = {
    rule.__name__: rule
    for rule in (
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
"""What `rule_to_invoke` may name."""
