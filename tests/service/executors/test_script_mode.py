"""Arguments and variables as the training toolkit makes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.service.executors.places import HostPlace
from clary.service.executors.script_mode import (
    as_a_shell_passes,
    decoded_hyperparameters,
    user_arguments,
    variables,
)

HOST = HostPlace(
    "algo-2", 1, ("algo-1", "algo-2"), Path("/jobs/j/hosts/algo-2"), Path("/log"), "namespace"
)
RESOURCES = {
    "current_host": "algo-2",
    "current_instance_type": "ml.m5.large",
    "current_group_name": "homogeneousCluster",
    "hosts": ["algo-1", "algo-2"],
    "instance_groups": [
        {
            "instance_group_name": "homogeneousCluster",
            "instance_type": "ml.m5.large",
            "hosts": ["algo-1", "algo-2"],
        }
    ],
    "network_interface_name": "lo",
}


def arguments(**texts: str) -> list[str]:
    return as_a_shell_passes(user_arguments(decoded_hyperparameters(texts)))


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("0.01", ["--x-y", "0.01"]),
        ('"adam"', ["--x-y", "adam"]),
        ("adam", ["--x-y", "adam"]),
        ('"64"', ["--x-y", "64"]),
        ('"\\"64\\""', ["--x-y", "64"]),
        ("'64'", ["--x-y", "64"]),
        ("true", ["--x-y", "True"]),
        ("false", ["--x-y", "False"]),
        ('""', ["--x-y"]),
        ("null", ["--x-y"]),
        ('{"b": 2, "a": 1}', ["--x-y", "a=1,b=2"]),
        ("[1, 2]", ["--x-y", "[1, 2]"]),
        ('"two words"', ["--x-y", "two words"]),
        ("$HOME", ["--x-y", "$HOME"]),
    ],
)
def test_a_value_reaches_the_script_as_from_a_shell(text: str, passed: list[str]) -> None:
    assert arguments(**{"x-y": text}) == passed


def test_names_are_sorted_and_single_letters_have_one_dash() -> None:
    assert arguments(lr="1", b="2", epochs="3") == ["-b", "2", "--epochs", "3", "--lr", "1"]


def test_what_speaks_to_the_toolkit_is_not_passed_on() -> None:
    reserved = {"sagemaker_program": "x", "_tuning_objective_metric": "loss", "lr": "1"}
    assert arguments(**reserved) == ["--lr", "1"]


@given(st.dictionaries(st.text(min_size=2, max_size=8), st.text(min_size=1, max_size=12)))
def test_plain_words_survive_json_and_the_shell(values: dict[str, str]) -> None:
    quoted = {name: json.dumps(value) for name, value in values.items()}
    decoded = decoded_hyperparameters(quoted)
    assert decoded == values
    plain = [value for value in values.values() if value[0] not in "\"'" and "\0" not in value]
    assert as_a_shell_passes(plain) == plain


def test_the_variables_of_one_host() -> None:
    hyperparameters = {"lr": 0.1, "opt": "adam", "sagemaker_program": "train.py"}
    told = variables(HOST, hyperparameters, {"train": {}}, RESOURCES, (8, 0))
    assert told["SM_MODEL_DIR"] == "/opt/ml/model"
    assert told["SM_OUTPUT_DATA_DIR"] == "/opt/ml/output/data/algo-2"
    assert told["SM_CHANNEL_TRAIN"] == "/opt/ml/input/data/train"
    assert told["SM_CHANNELS"] == '["train"]'
    assert told["SM_HPS"] == '{"lr":0.1,"opt":"adam"}'
    assert (told["SM_HP_LR"], told["SM_HP_OPT"]) == ("0.1", "adam")
    assert told["SM_USER_ARGS"] == '["--lr","0.1","--opt","adam"]'
    assert told["SM_FRAMEWORK_PARAMS"] == '{"sagemaker_program":"train.py"}'
    assert told["SM_HOSTS"] == '["algo-1","algo-2"]'
    assert (told["SM_CURRENT_HOST"], told["SM_NUM_GPUS"], told["SM_NUM_CPUS"]) == (
        "algo-2",
        "0",
        "8",
    )
    assert told["SM_CURRENT_INSTANCE_GROUP_HOSTS"] == '["algo-1","algo-2"]'
    assert (told["SM_USER_ENTRY_POINT"], told["SM_MODULE_NAME"]) == ("train.py", "train")
    everything = json.loads(told["SM_TRAINING_ENV"])
    assert everything["channel_input_dirs"] == {"train": "/opt/ml/input/data/train"}
    assert everything["is_master"] is False
    assert all(name.startswith("SM_") and isinstance(told[name], str) for name in told)
