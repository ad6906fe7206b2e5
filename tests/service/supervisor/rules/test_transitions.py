"""The table of a rule's statuses."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from clary.service.protocol.models import service_model
from clary.service.state.rule_evaluations import OPEN, RuleEvaluation
from clary.service.supervisor.rules.evaluations import evaluations_of, processing_job_name
from clary.service.supervisor.rules.transitions import TABLE, advance, closed, stopped, turned_off
from tests.service.supervisor.conftest import new_job
from tests.service.supervisor.rules.rule_jobs import custom_rule, rule, ruled_job


def evaluation(status: str = "InProgress", **changes: object) -> RuleEvaluation:
    values = {
        "name": "job-rule-0",
        "arn": "arn",
        "training_job": "job",
        "kind": "debug",
        "position": 0,
        "configuration": "rule",
        "rule": "Rule",
        "created_ms": 1,
        "modified_ms": 1,
        "status": status,
    }
    return RuleEvaluation(**{**values, **changes})  # type: ignore[arg-type]


def test_the_statuses_are_aws_s() -> None:
    enum = service_model("sagemaker").shape_for("RuleEvaluationStatus").enum
    assert set(TABLE) == set(enum)
    assert {status for status in TABLE if TABLE[status]} == set(OPEN)


statuses = st.sampled_from(sorted(TABLE))


@given(st.lists(st.tuples(statuses, st.text(max_size=5)), max_size=12))
def test_what_has_ended_stays_as_it_is(said: list[tuple[str, str]]) -> None:
    one = evaluation()
    for at_ms, (status, details) in enumerate(said, 2):
        after = advance(one, status, at_ms, details)
        if after is None:
            continue
        assert one.open
        assert after.status == one.status or after.status in TABLE[one.status]
        assert (after.ended_ms is None) == after.open
        assert after.modified_ms == at_ms
        one = after
    assert one.details == "" or len(one.details) <= 1024


def test_news_of_a_rule_that_goes_on_are_kept() -> None:
    after = advance(evaluation(), "InProgress", 5, "lacks gradients")
    assert after is not None
    assert (after.details, after.ended_ms) == ("lacks gradients", None)
    assert advance(after, "InProgress", 6) is None
    done = advance(after, "IssuesFound", 7, "x" * 2000)
    assert done is not None
    assert (len(done.details), done.ended_ms) == (1024, 7)
    assert advance(done, "IssuesFound", 8, "more") is None


def test_a_rule_that_has_not_begun_is_stopped_at_once() -> None:
    before = stopped(evaluation(), 3)
    running = stopped(evaluation(started_ms=2), 3)
    assert before is not None and running is not None
    assert (before.status, running.status) == ("Stopped", "Stopping")
    assert stopped(running, 4) is None


def test_rules_of_the_profiler_alone_are_turned_off_with_it() -> None:
    before = turned_off(evaluation(kind="profiler"), 3)
    running = turned_off(evaluation(kind="profiler", started_ms=2), 3)
    assert before is not None and running is not None
    assert (before.status, running.status) == ("Stopped", "Stopping")
    assert "turned the profiler off" in running.details
    assert turned_off(running, 4) is None
    assert turned_off(evaluation(), 3) is None


def test_what_a_job_leaves_behind_is_closed_with_the_reason() -> None:
    job = new_job("job")
    left = closed(evaluation(), job)
    assert left is not None
    assert left.status == "Stopped"
    assert "before its tensors could be judged" in left.details
    profile = closed(evaluation(kind="profiler"), job)
    assert profile is not None
    assert "before its profile could be judged" in profile.details
    known = closed(evaluation(details="lacks gradients"), job)
    assert known is not None
    assert known.details == "lacks gradients"


names = st.from_regex(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", fullmatch=True)


@given(names, st.text(min_size=1, max_size=256))
def test_the_name_of_a_processing_job_is_one_of_aws(name: str, configuration: str) -> None:
    job = new_job(name)
    made = processing_job_name(job, "debug", configuration)
    shape = service_model("sagemaker").shape_for("ProcessingJobName")
    assert len(made) <= shape.metadata["max"]

    assert re.fullmatch(shape.metadata["pattern"], made)
    assert made == processing_job_name(job, "debug", configuration)
    assert made != processing_job_name(job, "profiler", configuration)


def test_evaluations_are_named_as_aws_names_them() -> None:
    job = ruled_job("pytorch-training-2026-11-21-10-00-00-000", rule("VanishingGradient"))
    (one,) = evaluations_of(job)
    assert one.name.startswith("pytorch-training-2026-11-2-vanishinggradient-")
    assert len(one.name.rpartition("-")[2]) == 8
    assert one.arn.endswith(f":000000000000:processing-job/{one.name}")
    assert (one.status, one.rule, one.configuration) == (
        "InProgress",
        "VanishingGradient",
        "VanishingGradient",
    )
    several = evaluations_of(ruled_job("job", rule("a"), custom_rule("b"), rule("c")))
    assert [(each.position, each.rule) for each in several] == [
        (0, "VanishingGradient"),
        (1, "Mine"),
        (2, "VanishingGradient"),
    ]
