"""The evaluations of a job's rules as they are created, and their names."""

from __future__ import annotations

import hashlib
import re

from clary.formats.rule_request import RuleKind
from clary.service.requests.rule_configurations import RuleSpec, rules_of
from clary.service.state.rule_evaluations import RuleEvaluation
from clary.service.state.training_jobs import TrainingJob

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"

# A name has 63 characters: two parts of 26, a digest of 8 and what is between them.
_PART_CHARACTERS = 26


def evaluations_of(job: TrainingJob) -> list[RuleEvaluation]:
    """The evaluations of a new job, none of which has begun."""
    return [_evaluation(job, rule, job.created_ms) for rule in rules_of(job.request, job.updates)]


def evaluations_added(job: TrainingJob, before: TrainingJob) -> list[RuleEvaluation]:
    """The evaluations of rules that a job has and did not have before, when it was changed."""
    known = {(rule.kind, rule.position) for rule in rules_of(before.request, before.updates)}
    return [
        _evaluation(job, rule, job.modified_ms)
        for rule in rules_of(job.request, job.updates)
        if (rule.kind, rule.position) not in known
    ]


def processing_job_name(job: TrainingJob, kind: RuleKind, configuration: str) -> str:
    """The name of a rule's processing job: `<job>-<rule>-<8 hex>`, the same whoever asks."""
    identity = f"{job.arn} {job.created_ms} {kind} {configuration}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    rule = re.sub(r"[^a-z0-9]+", "-", configuration.lower()).strip("-")[:_PART_CHARACTERS]
    parts = (job.name[:_PART_CHARACTERS].rstrip("-"), rule.rstrip("-"), digest)
    return "-".join(part for part in parts if part)


def _evaluation(job: TrainingJob, rule: RuleSpec, created_ms: int) -> RuleEvaluation:
    name = processing_job_name(job, rule.kind, rule.configuration)
    return RuleEvaluation(
        name=name,
        arn=job.arn.rpartition(":")[0] + f":processing-job/{name}",
        training_job=job.name,
        kind=rule.kind,
        position=rule.position,
        configuration=rule.configuration,
        rule=rule.rule,
        created_ms=created_ms,
        modified_ms=created_ms,
    )
