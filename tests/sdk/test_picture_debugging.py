"""What is typed after `--debug`, and what it asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clary.debugger.configuration import HookConfiguration
from clary.errors import UsageError
from clary.formats.rule_parameters import parse_parameters
from clary.formats.training_options import TrainingOptions
from clary.sdk.debugging import Debugging, Rule
from clary.sdk.picture_debugging import COLLECTIONS, parse_debug, picture_debugging

OUTPUT = "s3://bucket/jobs"


SCRATCH = TrainingOptions.parse({"weights": "none"})


def debugging(words: list[str] | None, options: TrainingOptions = SCRATCH) -> Debugging:
    made = picture_debugging(parse_debug(words), options)
    assert made is not None
    return made


@pytest.mark.parametrize(
    "words", [None, [], ["all"], ["gradients"], ["weights,gradients"], ["activations", "biases"]]
)
def test_every_request_can_be_used(words: list[str] | None) -> None:
    members = debugging(words).request(OUTPUT, {})
    hook = HookConfiguration.parse(members["DebugHookConfig"])
    saved = {collection.name: collection for collection in hook.collections}
    numbers = {"losses", "labels", "predictions"}
    assert numbers <= saved.keys()
    for name, collection in saved.items():
        # Whole tensors of other collections would fill the disk.
        assert name in numbers or not hook.reductions_of(collection).raw
    rules = members["DebugRuleConfigurations"]
    for rule in rules:
        parse_parameters(rule["RuleParameters"]["rule_to_invoke"], rule["RuleParameters"])
    names = [rule["RuleConfigurationName"] for rule in rules]
    assert len(names) == len(set(names))
    assert {"Overfit", "LossNotDecreasing"} <= set(names)


def test_what_is_watched_follows_what_was_typed() -> None:
    assert picture_debugging(parse_debug(["off"]), SCRATCH) is None
    everything = debugging([])
    assert set(COLLECTIONS) <= everything.collections.keys()
    assert "DeadRelu" in {rule.rule for rule in everything.rules}
    some = debugging(["gradients"])
    assert "weights" not in some.collections
    assert "WeightUpdateRatio" not in {rule.rule for rule in some.rules}


def test_what_is_watched_follows_what_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clary.sdk.picture_debugging.count_gpus", lambda: 0)
    head = TrainingOptions.parse({"weights": "pretrained"})
    rules = {rule.rule for rule in debugging([], head).rules}
    assert not rules & {"DeadRelu", "PoorWeightInitialization"}
    with pytest.raises(UsageError, match=r"backbone stays frozen.*--trainable-layers all"):
        debugging(["activations"], head)
    whole = TrainingOptions.parse({"weights": "pretrained", "trainable_layers": "all"})
    assert "DeadRelu" in {rule.rule for rule in debugging(["activations"], whole).rules}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["gradient"], "--debug is 'gradient' but must be one of .*: did you mean gradients?"),
        (["photos/"], r".*`clary train photos/ --debug`"),
        (["all,weights"], "--debug is 'all,weights' but all, auto and off stand alone"),
    ],
)
def test_mistakes_are_one_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as raised:
        parse_debug(words)
    assert "\n" not in str(raised.value)


def test_a_request_can_be_read_again() -> None:
    members = debugging(["weights"]).request(OUTPUT, {})
    again = Debugging.of_job(members)
    assert again is not None
    assert again.request(OUTPUT, {}) == members
    assert Debugging.of_job({}) is None


def test_custom_rules_name_their_file() -> None:
    source = Path("my_rules.py")
    custom = Debugging(rules=(Rule("Mine", {"limit": 3}, name="mine", source=source),))
    (rule,) = custom.request(OUTPUT, {source: "s3://bucket/my_rules.py"})["DebugRuleConfigurations"]
    assert rule["RuleEvaluatorImage"].startswith("sagemaker-debugger-rule-evaluator")
    assert rule["RuleParameters"] == {
        "rule_to_invoke": "Mine",
        "limit": "3",
        "source_s3_uri": "s3://bucket/my_rules.py",
    }
    with pytest.raises(UsageError, match="two rules are called Overfit"):
        Debugging(rules=(Rule("Overfit"), Rule("Overfit"))).request(OUTPUT, {})
    with pytest.raises(UsageError, match="there are 21 rules but 20 is the most"):
        Debugging(rules=[Rule("Overfit", name=str(k)) for k in range(21)]).request(OUTPUT, {})


def test_parameters_become_text_that_can_be_read_again() -> None:
    given = {
        "actions": [{"name": "stop_training", "parameters": {}}],
        "nested": {"a": [1, None]},
        "steps": [1, 2.5, "x"],
        "patience": 3,
    }
    (rule,) = Debugging(rules=(Rule("Overfit", given),)).request(OUTPUT, {})[
        "DebugRuleConfigurations"
    ]
    sent = rule["RuleParameters"]
    assert json.loads(sent["actions"]) == given["actions"]
    assert json.loads(sent["nested"]) == given["nested"]
    assert (sent["steps"], sent["patience"]) == ("1,2.5,x", "3")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "patience is None but must have a value"),
        ([1, None], "patience is None but must have a value"),
        ([{"path": Path("x")}], "patience cannot be sent as JSON"),
    ],
)
def test_what_cannot_be_sent_is_refused(value: object, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Debugging(rules=(Rule("Overfit", {"patience": value}),)).request(OUTPUT, {})
