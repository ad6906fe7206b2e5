"""Jobs with rules, and what their checkers are called."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from clary.formats.job_directory import JobDirectory
from clary.service.operations.training_job_updates import closed_by_update, updated
from clary.service.requests.rule_configurations import Checker, checkers_of
from clary.service.state.rule_evaluations import RuleEvaluation
from clary.service.state.state import State
from clary.service.state.training_jobs import TrainingJob
from clary.service.supervisor.rules.evaluations import evaluations_added
from clary.settings import Settings
from tests.service.supervisor.conftest import new_job
from tests.waiting import until

STOP = [{"name": "stoptraining"}]
EMAIL = [{"name": "email", "endpoint": "me@example.org"}]


def rule(name: str, actions: Sequence[Any] = (), **parameters: str) -> dict[str, Any]:
    """A built-in rule as CreateTrainingJob takes it."""
    told = {"rule_to_invoke": "VanishingGradient", **parameters}
    if actions:
        told["action_json"] = json.dumps(list(actions))
    return {
        "RuleConfigurationName": name,
        "RuleEvaluatorImage": "1.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rules:latest",
        "RuleParameters": told,
    }


def profiler_rule(name: str, invoke: str | None = None, **parameters: str) -> dict[str, Any]:
    """A rule of the profiler as CreateTrainingJob takes it."""
    return rule(name, rule_to_invoke=invoke or name, **parameters)


def custom_rule(name: str, **parameters: str) -> dict[str, Any]:
    """A rule of one's own."""
    told = {"rule_to_invoke": "Mine", "source_s3_uri": "s3://bucket/mine.py", **parameters}
    return {
        "RuleConfigurationName": name,
        "RuleEvaluatorImage": "sagemaker-debugger-rule-evaluator",
        "RuleParameters": told,
    }


def ruled_job(
    name: str, *rules: dict[str, Any], profiled: Sequence[dict[str, Any]] = ()
) -> TrainingJob:
    """A job with rules of the debugger, and of the profiler."""
    profile = {"ProfilerConfig": {"S3OutputPath": "s3://bucket/profile"}} if profiled else {}
    return new_job(
        name,
        DebugRuleConfigurations=list(rules),
        ProfilerRuleConfigurations=list(profiled),
        **profile,
    )


def update(state: State, name: str, **asked: Any) -> TrainingJob | None:
    """What UpdateTrainingJob does, without the supervisor's being told."""
    return state.update_training_job(
        name,
        lambda job: updated(job, asked, int(time.time() * 1000)),
        evaluations_added,
        closed_by_update,
    )


def checkers(settings: Settings, job: TrainingJob) -> tuple[Checker, ...]:
    """The checkers of a job."""
    root = JobDirectory(settings.jobs_dir / job.name).root
    return checkers_of(job.request, root, job.updates)


def evaluations(state: State, name: str) -> dict[str, RuleEvaluation]:
    """How the rules of a job stand, by their configurations."""
    job = state.training_jobs.find(name)
    assert job is not None
    return {one.configuration: one for one in state.rule_evaluations.of_job(job.number)}


def wait_for(
    state: State, name: str, configuration: str, satisfied: Callable[[RuleEvaluation], bool]
) -> RuleEvaluation:
    """Wait until a rule is as wanted."""

    def now() -> RuleEvaluation:
        return evaluations(state, name)[configuration]

    def found() -> RuleEvaluation | None:
        one = now()
        return one if satisfied(one) else None

    return until(found, now)
