"""What a trial's training job is called and asks for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clary.service.operations.training_job_checks import problems
from clary.service.supervisor.tuning.children import (
    WATCHED,
    in_pieces,
    new_trial,
    split_watched,
    trial_name,
    trial_request,
)
from clary.service.supervisor.tuning.definitions import read_definitions
from tests.service.supervisor.tuning.conftest import new_tuning_job, training_definition

names = st.from_regex(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){0,15}", fullmatch=True)
texts = st.text(max_size=8)


@given(names, st.integers(1, 10_000), st.integers(0, 2**45))
def test_names_are_legal_alike_for_all_and_no_other_job_s(
    name: str, number: int, created_ms: int
) -> None:
    job = replace(new_tuning_job(name), created_ms=created_ms)
    given_name = trial_name(job, number)
    assert len(given_name) <= 63
    assert given_name == trial_name(replace(job, trials=number, phase="Completing"), number)
    assert given_name.startswith(f"{name}-{number:03d}-")
    others = [
        trial_name(job, number + 1),
        trial_name(replace(job, created_ms=created_ms + 1), number),
    ]
    assert given_name not in others


@given(st.dictionaries(texts, texts), st.dictionaries(texts, texts, min_size=1), texts)
def test_hyperparameters_are_static_then_tuned_then_the_objective(
    static: dict[str, str], tuned: dict[str, str], objective: str
) -> None:
    definition = training_definition(StaticHyperParameters=static)
    told = trial_request(definition, objective, "name", tuned)["HyperParameters"]
    assert json.loads(told["_tuning_objective_metric"]) == objective
    del told["_tuning_objective_metric"]
    assert told == {
        name: value
        for name, value in {**static, **tuned}.items()
        if name != "_tuning_objective_metric"
    }


def test_a_trial_is_a_training_job_that_nothing_is_wrong_with() -> None:
    job = replace(new_tuning_job("any"), number=7)
    (definition,) = read_definitions(job.request, seed=1)
    trial = new_trial(job, definition, 3, {"x": "0.5"}, at_ms=5)
    assert trial.arn.endswith(f":training-job/{trial.name}")
    assert trial.status == "InProgress"
    assert trial.trial is not None
    assert (trial.trial.tuning_number, trial.trial.number) == (7, 3)
    assert trial.trial.tuned == {"x": "0.5"}
    assert list(problems(trial.request)) == []


def test_what_is_watched_leaves_the_environment() -> None:
    wanted: dict[str, Any] = {member: {"S3OutputPath": "s3://b/k"} for member in WATCHED.values()}
    environment = {variable: json.dumps(wanted[member]) for variable, member in WATCHED.items()}
    told = trial_request(training_definition(Environment=environment), "loss", "name", {})
    assert {member: told[member] for member in wanted} == wanted
    assert "Environment" not in told


@given(st.dictionaries(st.sampled_from([*WATCHED]), st.text(max_size=9).map(lambda x: x * 300)))
def test_what_is_longer_than_a_value_goes_on_in_further_variables(texts: dict[str, str]) -> None:
    environment = {"MODE": "quick", "CLARY_PROFILER_CONFIG_9": "far"}
    for variable, text in texts.items():
        environment.update(in_pieces(variable, text))
    assert max(map(len, environment.values())) <= 512
    watched, others = split_watched(environment)
    assert watched == texts
    assert others == {"MODE": "quick", "CLARY_PROFILER_CONFIG_9": "far"}
