"""What rules found, as it stands on the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from clary.cli.findings_text import FindingBlock, StatusLines, say_findings, warning
from clary.formats.finding_sentences import grouped, sentence, verdict
from clary.formats.findings import Finding, Kind
from clary.sdk.rule_evaluations import RuleEvaluation


def finding(tensor: str = "Net_fc.weight", kind: Kind = "issue", step: int = 3) -> Finding:
    return Finding(
        rule="VanishingGradient",
        kind=kind,
        message=f"{tensor} has a mean of 1e-9, under the threshold of 1e-7 that was given",
        cause="layers saturate",
        remedy="use ReLU",
        tensor=tensor,
        step=step,
        mode="EVAL",
    )


def printed(*renderables: object, width: int = 60) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width)
    for one in renderables:
        console.print(one)
    return file.getvalue().splitlines()


def test_a_finding_says_what_where_why_and_what_to_try() -> None:
    (group,) = grouped([finding(f"Net_{k}.weight") for k in range(6)])
    assert printed(FindingBlock(group)) == [
        "VanishingGradient  at step 3 of validation",
        "       Net_0.weight has a mean of 1e-9, under the threshold",
        "       of 1e-7 that was given.",
        "       Also in Net_1.weight, Net_2.weight, Net_3.weight and",
        "       2 more.",
        "  why  Layers saturate.",
        "  try  Use ReLU.",
    ]


def test_issues_come_before_failures_and_notes() -> None:
    groups = grouped([finding(kind="note"), finding(kind="watcher_failed"), finding()])
    assert [group.first.kind for group in groups] == ["issue", "watcher_failed", "note"]
    (again,) = grouped([finding(step=3), finding(step=9), finding(step=12)])
    assert again.others == "again at 2 steps, the last is 12"


def test_what_failed_for_all_rules_is_told_once() -> None:
    failed = finding(kind="watcher_failed").model_copy(
        update={"detail": "Traceback\nOSError: full"}
    )
    other = failed.model_copy(update={"rule": "Overfit"})
    (group,) = grouped([failed, other])
    lines = printed(FindingBlock(group))
    assert lines[0] == "The watching of 2 rules  at step 3 of validation"
    assert lines[-1] == "       OSError: full."


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        (["NoIssuesFound"], "1 rule found nothing wrong"),
        (["NoIssuesFound"] * 4, "4 rules found nothing wrong"),
        (["IssuesFound", "Error"], "2 rules: 1 found an issue, 1 could not judge"),
        (["Stopping", "InProgress"], "2 rules are still judging"),
        (["Stopped", "NoIssuesFound"], "2 rules: 1 found nothing wrong, 1 was stopped"),
    ],
)
def test_the_verdict_counts(statuses: list[str], said: str) -> None:
    assert verdict(statuses) == said


def test_sentences_keep_the_names_of_tensors() -> None:
    assert sentence("the loss is NaN") == "The loss is NaN."
    assert sentence("gradient/fc.weight is 0!") == "gradient/fc.weight is 0!"
    assert sentence(" ") == ""


def test_a_rule_without_a_verdict_says_why() -> None:
    why = "the rule needs tensors that match .*relu_output, and none was saved"
    rules = [
        RuleEvaluation("DeadRelu", "Error", why),
        RuleEvaluation("Overfit", "IssuesFound", "RuleEvaluationConditionMet: …"),
    ]
    assert printed(StatusLines(rules), width=70) == [
        "DeadRelu  Error        the rule needs tensors that match",
        "                       .*relu_output, and none was saved",
        "Overfit   IssuesFound",
    ]
    assert printed(StatusLines(rules, frozenset({"DeadRelu"})))[0] == "DeadRelu  Error"
    narrow = printed(StatusLines(rules), width=30)
    assert narrow[0] == "DeadRelu  Error"
    assert max(map(len, narrow)) <= 30


def test_a_training_ends_with_what_was_found() -> None:
    file = io.StringIO()
    console = Console(file=file, width=80)
    say_findings(console, [], [], "photos-1")
    assert file.getvalue() == ""
    rules = [RuleEvaluation("VanishingGradient", "IssuesFound")]
    say_findings(console, [finding(), finding(kind="note")], rules, "photos-1")
    lines = file.getvalue().splitlines()
    assert lines[0] == "rules     1 rule found an issue"
    assert "  try  Use ReLU." in lines
    assert lines[-1] == "see       clary debug photos-1"


def test_a_warning_is_one_line() -> None:
    assert warning(finding()).startswith(
        "warning: VanishingGradient at step 3 of validation: Net_fc.weight has a mean of 1e-9"
    )
