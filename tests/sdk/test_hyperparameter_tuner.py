"""What a tuner asks for, checked by botocore's own model before any service is there."""

from __future__ import annotations

from dataclasses import replace

import boto3
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import UsageError
from clary.sdk.estimator import Estimator
from clary.sdk.hyperparameter_tuner import (
    TUNING_NAME,
    HyperparameterTuner,
    WarmStart,
    made_up_tuning_name,
)
from clary.sdk.session import Session
from clary.sdk.tuning_description import parameter_ranges, ranges_of
from clary.tuner.ranges import CategoricalRange, ContinuousRange, IntegerRange, Range, Space

ROLE = "arn:aws:iam::000000000000:role/Trainer"


@pytest.fixture
def estimator() -> Estimator:
    session = Session(
        boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="eu-west-1"),
        role=ROLE,
    )
    return Estimator(
        session,
        image="pytorch-training:2.8",
        hyperparameters={"epochs": 3, "lr": 0.1},
        metrics={"loss": r"loss=(\S+)"},
        output_path="s3://mine/models",
    )


def names() -> st.SearchStrategy[str]:
    return st.text("abc-_ é", min_size=1, max_size=8)


finite = st.floats(-1e9, 1e9).map(lambda value: value + 0.0)
ranges = st.one_of(
    st.builds(
        lambda name, ends: ContinuousRange(name, min(ends), max(ends), "Linear"),
        names(),
        st.tuples(finite, finite),
    ),
    st.builds(
        lambda name, ends: IntegerRange(name, min(ends), max(ends)),
        names(),
        st.tuples(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12)),
    ),
    st.builds(
        CategoricalRange,
        names(),
        st.lists(st.text(max_size=5), min_size=1, max_size=30, unique=True).map(tuple),
    ),
)


@given(st.lists(ranges, min_size=1, max_size=6, unique_by=lambda tuned: tuned.name))
def test_ranges_come_back_from_a_request(chosen: list[Range]) -> None:
    space = Space(tuple(chosen))
    assert set(ranges_of(parameter_ranges(space))) == set(space.ranges)


def test_a_request_is_what_the_model_allows(estimator: Estimator) -> None:
    tuner = HyperparameterTuner(
        estimator,
        "loss",
        ["lr=1e-4..1e-1:log", "batch-size=32,64", IntegerRange("depth", 1, 4)],
        direction="Minimize",
        max_jobs=8,
        max_parallel_jobs=2,
        early_stopping=True,
        seed=5,
        max_run_seconds=600,
        target=0.1,
        max_jobs_not_improving=4,
        stop_on_convergence=True,
        warm_start=WarmStart(("earlier",), "TransferLearning"),
    )
    request = tuner.request("s3://mine/photos", "first")
    model = estimator.session.client("sagemaker").meta.service_model
    shape = model.operation_model("CreateHyperParameterTuningJob").input_shape
    assert not ParamValidator().validate(request, shape).has_errors()
    definition = request["TrainingJobDefinition"]
    assert definition["StaticHyperParameters"] == {"epochs": "3"}
    assert definition["AlgorithmSpecification"]["MetricDefinitions"][0]["Name"] == "loss"
    assert request["HyperParameterTuningJobConfig"]["RandomSeed"] == 5
    assert request["WarmStartConfig"]["WarmStartType"] == "TransferLearning"
    again = replace(tuner, seed=None).request(None, "first")["HyperParameterTuningJobConfig"]
    assert 0 <= again["RandomSeed"] < 2**31


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"objective": "accuracy"}, "'accuracy' is no metric of the estimator"),
        ({"ranges": []}, "0 hyperparameters have a range"),
        ({"ranges": ["lr"]}, "'lr' is not a range"),
        ({"strategy": "Grid"}, "tries listed values only"),
        ({"strategy": "Grid", "ranges": ["lr=1,2,3"], "max_jobs": 2}, "3 combinations"),
        ({"strategy": "Hyperband"}, "give max_resource"),
        (
            {"strategy": "Hyperband", "max_epochs": 9, "early_stopping": True},
            "leave early_stopping out",
        ),
        ({"max_jobs": 0}, "0 trials find nothing"),
        ({"max_parallel_jobs": 0}, "max_parallel_jobs is 0 but must be at least 1"),
        ({"max_run_seconds": 60}, "max_run_seconds is 60 but must be 120 to"),
        ({"max_jobs_not_improving": 2}, "allow 3 or more"),
    ],
)
def test_what_cannot_be_searched_is_refused_when_it_is_built(
    estimator: Estimator, changes: dict[str, object], sentence: str
) -> None:
    arguments: dict[str, object] = {"objective": "loss", "ranges": ["lr=1e-4..1e-1:log"], **changes}
    with pytest.raises(UsageError, match=sentence):
        HyperparameterTuner(estimator, **arguments)  # type: ignore[arg-type]


def test_names(estimator: Estimator) -> None:
    for stem in ("_Meine Fotos: " + "x" * 80, "---", "ä", "a.tar.gz", "x"):
        assert TUNING_NAME.fullmatch(made_up_tuning_name(stem))
    tuner = HyperparameterTuner(estimator, "loss", ["lr=1,2"])
    with pytest.raises(UsageError, match="must be 1 to 32 letters"):
        tuner.request(None, "x" * 33)
    with pytest.raises(UsageError, match="from 6 tuning jobs is not possible"):
        WarmStart(("x",) * 6)
