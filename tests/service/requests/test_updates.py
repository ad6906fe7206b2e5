"""What of a request is in effect after updates, and which processes its rules have then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clary.service.requests.rule_configurations import (
    ADDED_TOGETHER,
    checkers_of,
    rule_of,
    rules_of,
)
from clary.service.requests.updates import is_profiled, merged, with_profiler_defaults
from tests.service.supervisor.rules.rule_jobs import custom_rule, profiler_rule, rule

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
configs = st.dictionaries(
    st.sampled_from(["S3OutputPath", "ProfilingIntervalInMilliseconds", "DisableProfiler"]),
    st.booleans() | st.integers(0, 3),
    max_size=3,
)


def changes(rules: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "ProfilerConfig": configs,
            "ProfilerRuleConfigurations": st.lists(rules, max_size=3),
        },
    )


@given(*(changes(st.integers()) for _ in range(3)))
def test_updates_of_updates_are_as_one(
    request: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    one_by_one = merged(merged(request, first), second)
    assert one_by_one == merged(request, merged(first, second))
    assert merged(request, {}) == request
    rules = "ProfilerRuleConfigurations"
    assert one_by_one.get(rules, []) == [
        rule for told in (request, first, second) for rule in told.get(rules, ())
    ]


@given(changes(st.integers()))
def test_a_profile_has_a_place_and_filling_again_changes_nothing(request: dict[str, Any]) -> None:
    asked = {"OutputDataConfig": {"S3OutputPath": "s3://bucket/out"}, **request}
    filled = with_profiler_defaults(asked)
    assert with_profiler_defaults(filled) == filled
    if is_profiled(filled):
        given_path = asked.get("ProfilerConfig", {}).get("S3OutputPath", "s3://bucket/out")
        assert filled["ProfilerConfig"]["S3OutputPath"] == given_path
    else:
        assert filled == asked


@given(st.lists(names, unique=True, max_size=8), st.data())
def test_rules_keep_their_places_and_processes_when_others_come(
    called: list[str], data: st.DataObject
) -> None:
    makers = [rule, custom_rule, profiler_rule]
    drawn = [(name, data.draw(st.sampled_from(makers))) for name in called]
    debug = [make(name) for name, make in drawn if make is not profiler_rule]
    profiler = [profiler_rule(name, "StepOutlier") for name, make in drawn if make is profiler_rule]
    created = data.draw(st.integers(0, len(profiler)))
    request = {
        "TrainingJobName": "job",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "DebugRuleConfigurations": debug,
        "ProfilerRuleConfigurations": profiler[:created],
    }
    root = Path("/jobs/job")
    before = checkers_of(request, root)
    updates: dict[str, Any] = {"ProfilerRuleConfigurations": profiler[created:]}
    together = data.draw(st.booleans())
    if together and profiler[created:]:
        updates[ADDED_TOGETHER] = [len(profiler[created:])]
    after = checkers_of(request, root, updates)
    assert all(one in after for one in before)
    assert len({one.folder for one in after}) == len(after)
    rules = rules_of(request, updates)
    assert [one.configuration for one in rules] == [
        one["RuleConfigurationName"] for one in debug + profiler
    ]
    assert sorted(one.configuration for each in after for one in each.rules) == sorted(called)
    for one in rules:
        assert rule_of(request, updates, one.kind, one.position) == one
    for checker in after:
        assert len({one.kind for one in checker.rules}) == 1
        added = {one.added for one in checker.rules}
        assert len(added) == 1
        assert len(checker.rules) == 1 or not checker.custom
        if added != {""}:
            assert len(checker.rules) == (len(profiler[created:]) if together else 1)
