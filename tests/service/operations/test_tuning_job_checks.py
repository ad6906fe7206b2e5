"""What CreateHyperParameterTuningJob refuses, and in which words."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.service.operations.conftest import Bench
from tests.service.operations.tuning_requests import (
    KIND,
    LOSS,
    X,
    create,
    describe,
    end,
    request,
    trials_of,
)


def hyperband(**resources: int) -> dict[str, Any]:
    return {"HyperbandStrategyConfig": resources}


def ranges(kind: str, low: str, high: str, scaling: str = "Auto") -> dict[str, Any]:
    one = {"Name": "x", "MinValue": low, "MaxValue": high, "ScalingType": scaling}
    return {f"{kind}ParameterRanges": [one]}


DEFINITION = request("any")["TrainingJobDefinition"]
NAMED = {
    **DEFINITION,
    "DefinitionName": "one",
    "TuningObjective": LOSS,
    "HyperParameterRanges": X,
}
MANY = {f"h{number}": "1" for number in range(99)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training": None},
            "Exactly one of TrainingJobDefinition and TrainingJobDefinitions must be given.",
        ),
        ({"TrainingJobDefinitions": [NAMED]}, "Exactly one of TrainingJobDefinition"),
        (
            {"training": None, "TrainingJobDefinitions": [NAMED]},
            "ParameterRanges is not allowed with TrainingJobDefinitions: give HyperParameterRanges",
        ),
        (
            {
                "training": None,
                "config__ParameterRanges": None,
                "config__HyperParameterTuningJobObjective": None,
                "TrainingJobDefinitions": [
                    NAMED,
                    {**NAMED, "TuningObjective": {**LOSS, "Type": "Maximize"}},
                ],
            },
            "DefinitionName 'one' is given twice. The TuningObjective of all",
        ),
        (
            {"training__HyperParameterRanges": X},
            "Both HyperParameterRanges and ParameterRanges are given",
        ),
        (
            {"config__HyperParameterTuningJobObjective": None},
            "An objective metric is missing: give HyperParameterTuningJobObjective",
        ),
        (
            {"training__AlgorithmSpecification__MetricDefinitions": None},
            "A metric is required for this hyperparameter tuning job objective. Provide a metric "
            "in the metric definitions.",
        ),
        (
            {"config__HyperParameterTuningJobObjective": {**LOSS, "MetricName": "acc"}},
            "The objective metric for the hyperparameter tuning job, [acc], isn't in the metric "
            "definitions. Choose one of [loss], or define it.",
        ),
        ({"config__ParameterRanges": None}, "0 hyperparameters have a range"),
        ({"config__ParameterRanges": ranges("Continuous", "1", "0")}, "x"),
        ({"config__ParameterRanges": ranges("Continuous", "0", "1", "Logarithmic")}, "logarithm"),
        ({"config__ParameterRanges": ranges("Continuous", "0", "1", "ReverseLogarithmic")}, "x"),
        ({"config__ParameterRanges": ranges("Integer", "0", "1", "ReverseLogarithmic")}, "x"),
        (
            {"config__ParameterRanges": ranges("Integer", "0.5", "2")},
            "MinValue of the range of x is '0.5', which is no whole number",
        ),
        (
            {"config__ParameterRanges": ranges("Continuous", "low", "2")},
            "MinValue of the range of x is 'low', which is no number: write one such as 0.001.",
        ),
        (
            {"training__StaticHyperParameters": {"x": "1"}},
            "The hyperparameter 'x' has a range and a static value: keep one.",
        ),
        (
            {"training__StaticHyperParameters": MANY},
            "A training job would have 101 hyperparameters, _tuning_objective_metric among them, "
            "and 100 are allowed.",
        ),
        ({"config__Strategy": "Grid"}, "x"),
        (
            {
                "config__Strategy": "Grid",
                "config__ParameterRanges": KIND,
                "config__limits__MaxNumberOfTrainingJobs": 2,
            },
            "3",
        ),
        (
            {
                "config__Strategy": "Hyperband",
                "config__TrainingJobEarlyStoppingType": "Auto",
                "config__StrategyConfig": hyperband(MaxResource=9),
            },
            "TrainingJobEarlyStoppingType must be Off for the strategy Hyperband",
        ),
        (
            {"config__Strategy": "Hyperband"},
            "Hyperband needs to know how many epochs a training job has at most: set "
            "StrategyConfig.HyperbandStrategyConfig.MaxResource, or a static hyperparameter "
            "epochs.",
        ),
        (
            {
                "config__Strategy": "Hyperband",
                "config__StrategyConfig": hyperband(MinResource=9, MaxResource=3),
            },
            "Hyperband has epochs from 9 to 3: MinResource must be at most MaxResource, which",
        ),
        (
            {
                "config__Strategy": "Hyperband",
                "config__StrategyConfig": hyperband(MinResource=9),
                "training__StaticHyperParameters": {"epochs": "3"},
            },
            "MinResource must be at most the static hyperparameter for epochs, which must be at "
            "most 20000.",
        ),
        (
            {"config__StrategyConfig": hyperband(MaxResource=9)},
            "StrategyConfig is only allowed with the strategy Hyperband, not with Random.",
        ),
        (
            {"config__limits__MaxNumberOfTrainingJobs": None},
            "MaxNumberOfTrainingJobs must be set in ResourceLimits.",
        ),
        (
            {
                "config__ParameterRanges": {
                    "AutoParameters": [{"Name": "lr", "ValueHint": "0.1"}],
                }
            },
            "AutoParameters are only allowed with Autotune: set its Mode to Enabled.",
        ),
        ({"training__ResourceConfig": None}, "ResourceConfig must be set."),
        (
            {"training__HyperParameterTuningResourceConfig": {"InstanceType": "ml.m5.xlarge"}},
            "Both ResourceConfig and HyperParameterTuningResourceConfig are set",
        ),
        (
            {"training__EnableManagedSpotTraining": True},
            "Invalid MaxWaitTimeInSeconds. It must be present",
        ),
        (
            {"training__Environment": {"CLARY_PROFILER_CONFIG": "{"}},
            "Member must be ProfilerConfig as JSON (Expecting",
        ),
        (
            {"training__Environment": {"CLARY_DEBUG_RULE_CONFIGURATIONS": "[" + 511 * " "}},
            "what is longer than 512 characters goes on in CLARY_DEBUG_RULE_CONFIGURATIONS_2, "
            "CLARY_DEBUG_RULE_CONFIGURATIONS_3, …",
        ),
        (
            {
                "training__Environment": {
                    "CLARY_PROFILER_CONFIG": "{}",
                    "CLARY_PROFILER_CONFIG_3": "{}",
                }
            },
            "at 'environment.CLARY_PROFILER_CONFIG_3' failed to satisfy constraint: Member must "
            "follow CLARY_PROFILER_CONFIG, CLARY_PROFILER_CONFIG_2, … without gap",
        ),
        (
            {"training__Environment": {"CLARY_DEBUG_HOOK_CONFIG": "{}"}},
            "'debugHookConfig.s3OutputPath' failed to satisfy constraint: Member must not be null",
        ),
        (
            {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]},
            "Duplicate tag keys found: a.",
        ),
    ],
)
def test_what_the_model_allows_and_the_service_does_not(
    bench: Bench, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError) as error:
        create(bench, "refused", **changes)
    told = error.value.response["Error"]
    assert told["Code"] == "ValidationException"
    assert message in told["Message"]
    assert told["Message"].endswith((".", "null", "…", "gap"))
    # It speaks of the request's members, not of Clary's own names.
    assert not re.search("max_resource|min_resource|max_trials", told["Message"])


@pytest.mark.parametrize(
    "limits",
    [
        {"MaxNumberOfTrainingJobs": 10, "MaxParallelTrainingJobs": 101},
        {"MaxNumberOfTrainingJobs": 10_001, "MaxParallelTrainingJobs": 1},
    ],
)
def test_limits_are_those_of_aws(bench: Bench, limits: dict[str, int]) -> None:
    with pytest.raises(ClientError) as error:
        create(bench, "too-much", config__limits=limits)
    assert error.value.response["Error"]["Code"] == "ResourceLimitExceeded"


def test_rules_for_the_trials_may_be_longer_than_a_value_of_the_environment(bench: Bench) -> None:
    rules = [
        {
            "RuleConfigurationName": f"rule-{number}",
            "RuleEvaluatorImage": "1.dkr.ecr.us-west-2.amazonaws.com/sagemaker-debugger-rules",
            "RuleParameters": {"rule_to_invoke": "VanishingGradient", "threshold": "1e-7"},
        }
        for number in range(6)
    ]
    variable = "CLARY_DEBUG_RULE_CONFIGURATIONS"
    text = json.dumps(rules, indent=1)
    cuts = range(0, len(text), 500)
    assert len(cuts) > 2
    environment = {
        variable if start == 0 else f"{variable}_{number}": text[start : start + 500]
        for number, start in enumerate(cuts, 1)
    }
    create(bench, "ruled", training__Environment={**environment, "MODE": "quick"})
    shown = describe(bench, "ruled")["TrainingJobDefinition"]["Environment"]
    (trial, *_) = trials_of(bench, "ruled")
    told = bench.client("sagemaker").describe_training_job(TrainingJobName=trial)
    assert told["DebugRuleConfigurations"] == rules
    standing = told["DebugRuleEvaluationStatuses"]
    assert [one["RuleConfigurationName"] for one in standing] == [
        one["RuleConfigurationName"] for one in rules
    ]
    assert told["Environment"] == {"MODE": "quick"}
    # What is shown may be asked for again.
    create(bench, "ruled-again", training__Environment=shown)
    end(bench, "ruled-again")
    end(bench, "ruled")
