"""Tuning jobs that go on from others."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.service.tuning.conftest import Tuning, configuration, definition

KINDS = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "2", "3", "4"]}]}


def warm_start(kind: str, *parents: str) -> dict[str, Any]:
    return {
        "WarmStartConfig": {
            "WarmStartType": kind,
            "ParentHyperParameterTuningJobs": [
                {"HyperParameterTuningJobName": parent} for parent in parents
            ],
        }
    }


@pytest.fixture(scope="module")
def parent(tuning: Tuning) -> str:
    tuning.create("parent", configuration(2, ParameterRanges=KINDS), definition("bowl"))
    assert tuning.wait("parent")["HyperParameterTuningJobStatus"] == "Completed"
    return "parent"


def test_what_parents_have_tried_is_known_and_not_tried_again(tuning: Tuning, parent: str) -> None:
    warm = warm_start("IdenticalDataAndAlgorithm", parent)
    tuning.create("child", configuration(2, ParameterRanges=KINDS), definition("bowl"), **warm)
    job = tuning.wait("child")
    assert job["HyperParameterTuningJobStatus"] == "Completed", job.get("FailureReason")
    trials = [*tuning.trials(parent), *tuning.trials("child")]
    assert sorted(one["TunedHyperParameters"]["x"] for one in trials) == ["1", "2", "3", "4"]
    overall = job["OverallBestTrainingJob"]
    assert overall["TunedHyperParameters"] == {"x": "3"}
    assert overall["TrainingJobName"].startswith(f"{overall['TuningJobName']}-")
    assert job["WarmStartConfig"] == warm["WarmStartConfig"]
    # Parents' trials do not count.
    assert job["TrainingJobStatusCounters"]["Completed"] == 2


def test_other_data_is_learned_from_and_not_compared(tuning: Tuning, parent: str) -> None:
    warm = warm_start("TransferLearning", parent)
    training = definition("bowl")
    training["AlgorithmSpecification"]["TrainingImage"] += "-other"
    tuning.create("transfer", configuration(4, ParameterRanges=KINDS), training, **warm)
    job = tuning.wait("transfer")
    assert job["HyperParameterTuningJobStatus"] == "Completed", job.get("FailureReason")
    assert "OverallBestTrainingJob" not in job
    tried = {one["TunedHyperParameters"]["x"] for one in tuning.trials("transfer")}
    assert tried == {"1", "2", "3", "4"}


REFUSALS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (
        {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "objective"}},
        {},
        r"The objective metric must be the same as that of the parent .* parent, \[Minimize obj",
    ),
    ({}, {"static": {"y": "1"}}, r"The number of static plus tunable .* same as .*: y differ\."),
    (
        {
            "ParameterRanges": {
                "IntegerParameterRanges": [{"Name": "x", "MinValue": "1", "MaxValue": "4"}]
            }
        },
        {},
        "The type of the hyperparameter 'x' must not change: it is categorical in the parent",
    ),
    (
        {},
        {
            "InputDataConfig": [
                {
                    "ChannelName": "training",
                    "DataSource": {
                        "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://tuning/other/"}
                    },
                }
            ]
        },
        "InputDataConfig must be the same as in the parent",
    ),
]


@pytest.mark.parametrize(("config", "training", "message"), REFUSALS)
def test_what_does_not_fit_its_parent_is_refused(
    tuning: Tuning, parent: str, config: dict[str, Any], training: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        tuning.create(
            "refused",
            configuration(2, **{"ParameterRanges": KINDS, **config}),
            definition("bowl", **training),
            **warm_start("IdenticalDataAndAlgorithm", parent),
        )


def test_at_most_ten_changes_and_each_flip_counts_twice(tuning: Tuning) -> None:
    static = {f"s{number}": "0" for number in range(6)}
    ranges = [{"Name": name, "Values": ["0", "1"]} for name in static]
    config = configuration(1, ParameterRanges={"CategoricalParameterRanges": ranges})
    tuning.create("flipping", config, definition("bowl", static={"x": "3"}))
    tuning.wait("flipping")
    flipped = configuration(1, ParameterRanges=KINDS)
    warm = warm_start("TransferLearning", "flipping")
    with pytest.raises(ClientError, match=r"14 changes of hyperparameters .* and 10 are allowed"):
        tuning.create("flipped", flipped, definition("bowl", static=static), **warm)


def test_parents_must_be_there_and_have_ended(tuning: Tuning) -> None:
    warm = warm_start("TransferLearning", "nobody")
    with pytest.raises(ClientError, match="hyperparameter tuning job nobody does not exist"):
        tuning.create("orphan", configuration(1), definition("bowl"), **warm)
    tuning.create("busy", configuration(4, parallel=1), definition("endless"))
    warm = warm_start("TransferLearning", "busy")
    with pytest.raises(ClientError, match="busy is InProgress: wait for it, or stop it"):
        tuning.create("hasty", configuration(1), definition("bowl"), **warm)
    tuning.client.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="busy")
    tuning.wait("busy")
