"""What is typed after `--debug`, and what it asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from clary.debugger.configuration import HookConfiguration
from clary.errors import UsageError
from clary.formats.rule_parameters import parse_parameters
from clary.sdk.debugging import Debugging, Rule
from clary.sdk.picture_debugging import COLLECTIONS, parse_debug

OUTPUT = "s3://bucket/jobs"


@pytest.mark.parametrize(
    "words", [None, [], ["all"], ["gradients"], ["weights,gradients"], ["activations", "biases"]]
)
def test_every_request_can_be_used(words: list[str] | None) -> None:
    debugging = parse_debug(words)
    assert debugging is not None
    members = debugging.request(OUTPUT, {})
    hook = HookConfiguration.parse(members["DebugHookConfig"])
    saved = {collection.name: collection for collection in hook.collections}
    assert {"losses", "input_image"} <= saved.keys()
    for name, collection in saved.items():
        # Whole tensors would fill the disk; the values of losses are what they are.
        assert name == "losses" or not hook.reductions_of(collection).raw
    rules = members["DebugRuleConfigurations"]
    for rule in rules:
        parse_parameters(rule["RuleParameters"]["rule_to_invoke"], rule["RuleParameters"])
    names = [rule["RuleConfigurationName"] for rule in rules]
    assert len(names) == len(set(names))
    assert {"Overfit", "LossNotDecreasing"} <= set(names)


def test_what_is_watched_follows_what_was_typed() -> None:
    everything, nothing = parse_debug([]), parse_debug(["off"])
    assert nothing is None
    assert everything is not None
    assert set(COLLECTIONS) <= everything.collections.keys()
    assert "DeadRelu" in {rule.rule for rule in everything.rules}
    some = parse_debug(["gradients"])
    assert some is not None
    assert "weights" not in some.collections
    assert "WeightUpdateRatio" not in {rule.rule for rule in some.rules}


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
    debugging = parse_debug(["weights"])
    assert debugging is not None
    members = debugging.request(OUTPUT, {})
    again = Debugging.of_job(members)
    assert again is not None
    assert again.request(OUTPUT, {}) == members
    assert Debugging.of_job({}) is None


def test_custom_rules_name_their_file() -> None:
    source = Path("my_rules.py")
    debugging = Debugging(rules=(Rule("Mine", {"limit": 3}, name="mine", source=source),))
    (rule,) = debugging.request(OUTPUT, {source: "s3://bucket/my_rules.py"})[
        "DebugRuleConfigurations"
    ]
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
