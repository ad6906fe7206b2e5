"""What the hyperparameters of the built-in algorithm say, and what its log is read for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import UsageError
from clary.formats.builtin_algorithm import METRICS, TrainingRequest
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
