"""`debughookconfig.json`, as SageMaker writes it and as people get it wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clary.debugger import Collection, HookConfiguration, Mode, Reductions
from clary.debugger.selection import Selections
from clary.errors import FormatError, UsageError

DOCUMENT = {
    "S3OutputPath": "s3://bucket/prefix",
    "LocalPath": "/opt/ml/output/tensors",
    "HookParameters": {"save_interval": "100", "include_workers": "all"},
    "CollectionConfigurations": [
        {"CollectionName": "weights"},
        {
            "CollectionName": "gradients",
            "CollectionParameters": {"train.save_interval": "5", "reductions": "abs_mean,l2_norm"},
        },
        {
            "CollectionName": "relu_output",
            "CollectionParameters": {"include_regex": ".*relu_output", "save_histogram": "true"},
        },
    ],
}


def collections_of(configuration):
    return {collection.name: collection for collection in configuration.collections}


def test_the_file_is_read_where_the_environment_says(tmp_path, monkeypatch):
    path = tmp_path / "debughookconfig.json"
    path.write_text(json.dumps(DOCUMENT))
    monkeypatch.setenv("SMDEBUG_CONFIG_FILE_PATH", str(path))
    configuration = HookConfiguration.read()
    found = collections_of(configuration)
    assert set(found) == {"losses", "weights", "gradients", "relu_output"}
    assert configuration.folder == Path("/opt/ml/output/tensors")
    assert configuration.include_workers == "all"
    assert configuration.schedule_of(found["gradients"]).due(Mode.TRAIN, 5)
    assert not configuration.schedule_of(found["gradients"]).due(Mode.EVAL, 5)
    assert configuration.schedule_of(found["losses"]).due(Mode.EVAL, 100)
    assert found["gradients"].parameters["reductions"] == "abs_mean,l2_norm"


def test_without_reductions_the_whole_tensor_is_kept():
    found = collections_of(configuration := HookConfiguration.parse(DOCUMENT))
    assert configuration.reductions_of(found["weights"]).raw
    assert not configuration.reductions_of(found["gradients"]).raw
    assert configuration.reductions_of(found["gradients"]).names == {"abs_mean", "l2"}
    assert configuration.reductions_of(found["relu_output"]).histogram


def test_a_collection_says_what_is_kept_or_inherits_it():
    hook = Reductions.parse({"reductions": "min"})
    assert Reductions.parse({}, hook) == hook
    assert Reductions.parse({"save_raw_tensor": "true"}, hook).raw
    assert Reductions.parse({"save_shape": "true"}).shapes


def test_all_is_asked_for_by_a_flag_of_the_hook():
    names = collections_of(HookConfiguration.parse({"HookParameters": {"save_all": "true"}}))
    assert set(names) == {"all", "losses"}
    assert names["all"].holds("anything")


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"HookParameters": {"save_intervall": "5"}}, "save_intervall"),
        ({"HookParameters": {"include_workers": "some"}}, "include_workers"),
        ({"CollectionConfigurations": [{"CollectionName": "mine"}]}, "include_regex"),
        ({"CollectionConfigurations": [{}]}, "CollectionName"),
        ({"HookParameters": {"reductions": "median"}}, "median"),
        ({"HookParameters": {"dry_run": "maybe"}}, "dry_run"),
        ({"HookParameters": {"include_regex": "("}}, "include_regex"),
    ],
)
def test_what_cannot_be_used_is_said_by_name(document, told):
    with pytest.raises(UsageError, match=told):
        HookConfiguration.parse(document)


@pytest.mark.parametrize("content", ["[]", "{", None])
def test_a_damaged_file_is_said_to_be_one(tmp_path, content):
    path = tmp_path / "debughookconfig.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(FormatError):
        HookConfiguration.read(path)


@pytest.mark.parametrize(
    ("collection", "held", "not_held"),
    [
        ("weights", "ResNet_fc.weight", "gradient/ResNet_fc.weight"),
        ("biases", "ResNet_fc.bias", "gradient/ResNet_fc.bias"),
        ("gradients", "gradient/ResNet_fc.bias", "ResNet_fc.bias"),
        ("losses", "CrossEntropyLoss_output_0", "CrossEntropyLoss_input_0"),
        ("outputs", "layer1.0.relu_output_1", "layer1.0.relu_input_1"),
        ("inputs", "ResNet_input_0", "ResNet_output_0"),
    ],
)
def test_built_in_collections_go_by_name(collection, held, not_held):
    assert Collection(collection).holds(held)
    assert not Collection(collection).holds(not_held)


def test_a_comma_within_an_expression_stays_there():
    entry = {
        "CollectionName": "mine",
        "CollectionParameters": {"include_regex": r"layer\d{1,2}"},
    }
    found = collections_of(HookConfiguration.parse({"CollectionConfigurations": [entry]}))
    assert found["mine"].include_regex == (r"layer\d{1,2}",)


def test_a_collection_that_is_named_twice_is_captured_when_either_is_due():
    document = {
        "CollectionConfigurations": [
            {"CollectionName": "gradients", "CollectionParameters": {"save_interval": "5"}},
            {"CollectionName": "gradients", "CollectionParameters": {"save_interval": "3"}},
        ]
    }
    selections = Selections(HookConfiguration.parse(document))
    due = [step for step in range(1, 11) if selections.at(Mode.TRAIN, step) is not None]
    assert due == [3, 5, 6, 9, 10]
    whole = selections.at(Mode.TRAIN, 3)
    assert whole is not None
    assert whole.reductions("gradient/Net_fc.weight") == Reductions(raw=True)


@pytest.mark.parametrize(
    "document",
    [
        {"CollectionConfigurations": 5},
        {"CollectionConfigurations": {"CollectionName": "weights"}},
        {"LocalPath": 5},
        {"LocalPath": ["tensors"]},
    ],
)
def test_what_is_of_the_wrong_kind_is_refused_by_name(document):
    (name,) = document
    with pytest.raises(UsageError, match=name):
        HookConfiguration.parse(document)
