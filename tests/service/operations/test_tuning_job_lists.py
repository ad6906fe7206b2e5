"""The trials of a tuning job through boto3: orders, filters, pages and hostile tokens."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.service.operations.pages import write_token
from clary.service.state.training_jobs import FinalMetric
from clary.service.supervisor.tuning.children import new_trial
from clary.service.supervisor.tuning.definitions import read_definitions
from tests.service.operations.conftest import Bench
from tests.service.supervisor.tuning.conftest import new_tuning_job

NAME = "paged"
TRIALS = 23


@pytest.fixture
def paged(bench: Bench) -> Bench:
    """A tuning job that is over, with trials of which three begin in the same second."""
    begun = new_tuning_job(NAME, trials=TRIALS)
    over = replace(begun, status="Completed", phase="Completed", ended_ms=begun.created_ms + 60_000)
    if bench.state.create_tuning_job(over, {}) is not None:
        return bench
    job = bench.state.tuning_jobs.find(NAME)
    assert job is not None
    (definition,) = read_definitions(job.request, seed=1)
    times = list(range(TRIALS))
    random.Random(4).shuffle(times)
    for number, time in enumerate(times, 1):
        trial = new_trial(job, definition, number, {"x": "0.5"}, 1_764_757_000_001 + time // 3)
        status = "Failed" if number % 4 == 0 else "Completed"
        last = FinalMetric(float(number % 7), 1, diverged=number % 5 == 0)
        ended = replace(trial, status=status, secondary=status, final_metrics={"loss": last})
        bench.state.create_training_job(ended, {})
    return bench


def listed(bench: Bench, size: int, **asked: Any) -> list[dict[str, Any]]:
    pages = (
        bench.client("sagemaker")
        .get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
        .paginate(HyperParameterTuningJobName=NAME, PaginationConfig={"PageSize": size}, **asked)
    )
    found = [page["TrainingJobSummaries"] for page in pages]
    assert all(0 < len(page) <= size for page in found)
    return [trial for page in found for trial in page]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("status", [None, "Completed", "Failed"])
@pytest.mark.parametrize(
    ("sort_by", "member"), [("Name", "TrainingJobName"), ("CreationTime", "CreationTime")]
)
def test_pages_are_sorted_and_hold_each_trial_once(
    paged: Bench, sort_by: str, member: str, status: str | None, descending: bool
) -> None:
    asked = {} if status is None else {"StatusEquals": status}
    order = "Descending" if descending else "Ascending"
    found = listed(paged, 4, SortBy=sort_by, SortOrder=order, **asked)
    assert len({one["TrainingJobName"] for one in found}) == len(found)
    assert len(found) == {None: TRIALS, "Completed": 18, "Failed": 5}[status]
    keys = [(one[member], one["TrainingJobName"]) for one in found]
    assert keys == sorted(keys, reverse=descending)
    assert listed(paged, 100, SortBy=sort_by, SortOrder=order, **asked) == found


def test_what_diverged_has_no_objective(paged: Bench) -> None:
    for one in listed(paged, 100):
        number = int(one["TrainingJobName"].split("-")[1])
        lost = number % 4 == 0 or number % 5 == 0
        assert one["ObjectiveStatus"] == ("Failed" if lost else "Succeeded")
        assert ("FinalHyperParameterTuningJobObjectiveMetric" in one) != lost
    by_value = listed(paged, 5, SortBy="FinalObjectiveMetricValue")
    values = [one["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for one in by_value]
    assert values == sorted(values)
    assert len(values) == 15
    told = paged.client("sagemaker").describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=NAME
    )
    assert told["ObjectiveStatusCounters"] == {"Succeeded": 15, "Pending": 0, "Failed": 8}


@pytest.mark.parametrize(
    ("sort_by", "position"),
    [
        ("Name", [1]),
        ("Name", ["a", "b"]),
        ("Name", "a"),
        ("Name", None),
        ("CreationTime", ["a", "b"]),
        ("CreationTime", [1.5, "b"]),
        ("CreationTime", [2**70, "b"]),
        ("CreationTime", [-1, "b"]),
        ("CreationTime", [True, "b"]),
    ],
)
def test_tokens_of_other_orders_are_refused(paged: Bench, sort_by: Any, position: Any) -> None:
    with pytest.raises(ClientError, match="Invalid NextToken"):
        paged.client("sagemaker").list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=NAME, SortBy=sort_by, NextToken=write_token(position)
        )


@pytest.mark.parametrize(
    ("name", "operator", "value", "hits"),
    [
        ("HyperParameterTuningJobName", "Equals", NAME, 1),
        ("ObjectiveStatusCounters.Succeeded", "Equals", "15", 1),
        ("ObjectiveStatusCounters.Succeeded", "Equals", "16", 0),
        ("BestTrainingJob.TrainingJobStatus", "Equals", "Completed", 1),
        ("OverallBestTrainingJob", "Exists", "", 0),
        ("FailureReason", "NotExists", "", 1),
    ],
)
def test_search_finds_a_tuning_job_by_itself_and_by_its_trials(
    paged: Bench, name: str, operator: str, value: str, hits: int
) -> None:
    one = {"Name": name, "Operator": operator, **({"Value": value} if value else {})}
    for expression in (
        {"Filters": [one]},
        {"SubExpressions": [{"Filters": [one]}]},
    ):
        answer = paged.client("sagemaker").search(
            Resource="HyperParameterTuningJob",
            SearchExpression=expression,
            SortBy="TrainingJobStatusCounters.Completed",
        )
        assert answer["TotalHits"]["Value"] == hits
        by_default = paged.client("sagemaker").search(
            Resource="HyperParameterTuningJob", SearchExpression=expression
        )
        assert by_default["Results"] == answer["Results"]
        for found in answer["Results"]:
            record = found["HyperParameterTuningJob"]
            told = paged.client("sagemaker").describe_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=NAME
            )
            for member in ("ObjectiveStatusCounters", "BestTrainingJob", "TrainingJobDefinition"):
                assert record[member] == told[member]
