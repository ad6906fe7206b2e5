"""What the hyperparameters of the built-in algorithm say, and what its log is read for."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import UsageError
from clary.formats.builtin_algorithm import (
    IMAGE,
    METRICS,
    OBJECTIVES,
    TrainingRequest,
    lane_key,
    names_image,
)
from clary.formats.training_options import TrainingOptions
from clary.jobs.progress import epoch_line
from clary.vision.observer import EpochEnded


@given(
    epochs=st.integers(1, 1000),
    dataset=st.none() | st.sampled_from(["digits", "/data/photos.zip"]),
    skip_check=st.booleans(),
    no_report=st.booleans(),
)
def test_a_request_comes_back(
    epochs: int, dataset: str | None, skip_check: bool, no_report: bool
) -> None:
    request = TrainingRequest(TrainingOptions(epochs=epochs), dataset, skip_check, no_report)
    assert TrainingRequest.from_hyperparameters(request.to_hyperparameters()) == request


def test_what_sagemaker_adds_is_not_for_the_algorithm() -> None:
    values = {"epochs": '"3"', "sagemaker_region": '"eu-west-1"', "_tuning_objective_metric": "x"}
    assert TrainingRequest.from_hyperparameters(values).options.epochs == 3


def test_wrong_values_are_named() -> None:
    with pytest.raises(UsageError, match="skip_check is 'perhaps' but must be true or false"):
        TrainingRequest.from_hyperparameters({"skip_check": "perhaps"})
    with pytest.raises(UsageError, match="there is no option --epocs"):
        TrainingRequest.from_hyperparameters({"epocs": "3"})


def test_the_objectives_are_found_in_every_epoch_and_at_the_end() -> None:
    ended = EpochEnded(3, 10, 0.5, 0.25, 0.5, 0.75, 0.001, 1.0, 100.0, False)
    lines = [
        epoch_line(ended),
        "best      epoch 2: valid_loss=0.2500 valid_accuracy=0.8000",
        "test      accuracy=0.9000 on 10 unseen pictures (95 % interval 0.6 to 1)",
        "  epoch 3: step 1 of 9, loss 0.5",
    ]
    found = {
        name: [match.group(1) for line in lines if (match := re.search(regex, line))]
        for name, regex in OBJECTIVES.items()
    }
    assert found == {"valid_accuracy": ["0.7500", "0.8000"], "valid_loss": ["0.5000", "0.2500"]}


def test_the_metrics_are_those_of_an_epoch_s_line() -> None:
    ended = EpochEnded(3, 10, 0.5, 0.25, 1e-7, 0.75, 0.001, 1.0, 100.0, True)
    found = {
        name: match.group(1)
        for name, regex in METRICS.items()
        if (match := re.search(regex, epoch_line(ended)))
    }
    assert found == {
        "epoch": "3",
        "train:loss": "0.5000",
        "train:accuracy": "0.2500",
        "valid:loss": "0.0000",
        "valid:accuracy": "0.7500",
        "best:valid_accuracy": "0.7500",
    }


def _request(hyperparameters: dict[str, str] | None = None, **members: Any) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "HyperParameters": {
            "dataset": "digits",
            "trainable_layers": "0",
            **(hyperparameters or {}),
        },
        "ResourceConfig": {"InstanceType": "local", "InstanceCount": 1},
        **members,
    }


def test_trials_of_a_head_share_a_lane() -> None:
    keys = {
        lane_key(_request(values), gpus=1)
        for values in (
            {},
            {"lr": "0.1", "epochs": "3"},
            {
                "batch_size": '"64"',
                "optimizer": '"sgd"',
                "_tuning_objective_metric": '"valid:loss"',
            },
            {"hidden": "32", "no_report": "true", "views": "4", "seed": "7"},
        )
    }
    keys.add(lane_key(_request(ProfilerConfig={"DisableProfiler": True}), gpus=1))
    assert len(keys) == 1
    assert None not in keys


@pytest.mark.parametrize(
    "request_",
    [
        _request({"model": "resnet50"}),
        _request({"precision": "fp32"}),
        _request({"dataset": "mnist"}),
        _request(Environment={"CLARY_CACHE_GB": "1"}),
        _request(InputDataConfig=[{"ChannelName": "training"}]),
    ],
)
def test_another_backbone_or_other_pictures_are_another_lane(request_: dict[str, Any]) -> None:
    assert lane_key(request_, gpus=0) not in {None, lane_key(_request(), gpus=0)}


@pytest.mark.parametrize(
    "request_",
    [
        _request({"trainable_layers": "1"}),
        _request({"trainable_layers": "auto"}),
        _request({"weights": "none"}),
        _request({"feature_cache": "false"}),
        _request({"epochs": "none at all"}),
        _request(ResourceConfig={"InstanceType": "local", "InstanceCount": 2}),
        _request(ResourceConfig={"InstanceGroups": [{"InstanceCount": 1}, {"InstanceCount": 1}]}),
        _request(CheckpointConfig={"S3Uri": "s3://bucket/checkpoints"}),
        _request(DebugHookConfig={"S3OutputPath": "s3://bucket/debug"}),
        _request(ProfilerConfig={"S3OutputPath": "s3://bucket/profile"}),
        _request(InputDataConfig=[{"ChannelName": "training", "InputMode": "Pipe"}]),
        _request(AlgorithmSpecification={"TrainingImage": "pytorch-training:2.0"}),
    ],
)
def test_what_needs_a_process_of_its_own_has_no_lane(request_: dict[str, Any]) -> None:
    assert lane_key(request_, gpus=1) is None


def test_without_a_gpu_auto_is_the_head_alone() -> None:
    request = _request({"trainable_layers": "auto"})
    assert lane_key(request, gpus=0) is not None
    assert lane_key(request, gpus=1) is None


def test_the_image_has_any_registry_and_tag() -> None:
    assert names_image("1.dkr.ecr.eu-west-1.amazonaws.com/clary/image-classification:latest")
    assert names_image(IMAGE)
    assert not names_image("clary/image-classification-too")
