"""The options of a training: what is written for a job means the same when it is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import UsageError
from clary.formats.training_options import TrainingOptions

NUMBERS = st.floats(min_value=1e-9, max_value=1e6, allow_nan=False)
SHARES = st.floats(min_value=0, max_value=0.49)

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2**32 - 1),
        "valid_fraction": SHARES,
        "test_fraction": SHARES,
        "model": st.text(min_size=1),
        "weights": st.text(min_size=1),
        "weight_path": st.none() | st.text(),
        "group_by": st.none() | st.text(),
        "trust_pickle": st.booleans(),
        "feature_cache": st.booleans(),
        "trainable_layers": st.sampled_from(["auto", "all"]) | st.integers(0, 50),
        "hidden": st.lists(st.integers(1, 65536), max_size=2).map(tuple),
        "lr": st.none() | NUMBERS,
        "eps": NUMBERS,
        "optimizer": st.sampled_from(["adamw", "adam", "sgd"]),
        "epochs": st.integers(1, 100_000),
        "workers": st.none() | st.integers(1, 256),
    },
)


@given(values=OPTIONS)
def test_hyperparameters_come_back(values: dict[str, object]) -> None:
    options = TrainingOptions.parse(values)
    written = options.to_hyperparameters()
    assert all(isinstance(text, str) for text in written.values())
    assert TrainingOptions.from_hyperparameters(written) == options


@given(
    values=st.fixed_dictionaries(
        {}, optional={"lr": NUMBERS, "epochs": st.integers(1, 1000), "dropout": SHARES}
    )
)
def test_text_means_the_same_as_numbers(values: dict[str, float]) -> None:
    texts = {name: str(value) for name, value in values.items()}
    assert TrainingOptions.parse(texts) == TrainingOptions.parse(values)


@pytest.mark.parametrize(
    ("text", "widths"), [("512", (512,)), ("512,256", (512, 256)), ("512 256", (512, 256))]
)
def test_hidden_layers_as_typed(text: str, widths: tuple[int, ...]) -> None:
    assert TrainingOptions.parse({"hidden": text}).hidden == widths
    assert TrainingOptions.from_hyperparameters({"hidden": text}).hidden == widths


def test_plain_text_as_sagemaker_writes_it() -> None:
    values = {"model": "resnet50", "lr": "0.01", "optimizer": '"sgd"', "trust_pickle": "true"}
    options = TrainingOptions.from_hyperparameters(values)
    assert (options.model, options.lr, options.optimizer) == ("resnet50", 0.01, "sgd")
    assert options.trust_pickle


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"epoch": 3}, "there is no option --epoch: did you mean --epochs?"),
        ({"epochs": "many"}, "--epochs is 'many' but must be a whole number (passes over"),
        ({"epochs": 0}, "--epochs is 0 but must be greater than or equal to 1"),
        ({"lr": "fast"}, "--lr is 'fast' but must be a number"),
        ({"lr": float("inf")}, "--lr is inf but must be a finite number"),
        ({"optimizer": "sdg"}, "--optimizer is 'sdg' but must be 'adamw', 'adam' or 'sgd'"),
        ({"trainable_layers": "al"}, "--trainable-layers is 'al' but must be 'auto' or 'all', or"),
        ({"hidden": "1,2,3"}, "--hidden is ('1', '2', '3') but must have two numbers at most"),
        ({"model": ""}, "--model is '' but must not be empty"),
        ({"valid_fraction": 0.6, "test_fraction": 0.4}, "--valid-fraction 0.6 and --test-fraction"),
        ({"freeze_epochs": 3, "epochs": 3}, "--freeze-epochs is 3 of 3 epochs"),
    ],
)
def test_a_wrong_value_is_one_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainingOptions.parse(values)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_all_wrong_values_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        TrainingOptions.parse({"epochs": 0, "dropout": 2, "modle": "resnet18"})
    assert len(str(caught.value).splitlines()) == 3
