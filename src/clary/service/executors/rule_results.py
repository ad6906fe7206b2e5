"""Which S3 folders get what the rules of a job have found.

<rules of a kind>/<configuration name>    <the rule's S3OutputPath, or the job's>/<job>/
                                              rule-output/<configuration name>/

SageMaker stores nothing of a ProfilerReport but the report and what it is made of: thirteen files.
"""

from __future__ import annotations

from clary.formats.profiler_rule_parameters import REPORT
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.mirrors import Mirrored
from clary.service.requests.rule_configurations import RuleSpec, result_folder, rules_folder

REPORT_FOLDER = "profiler-output"


def result_mirrors(job: TrainingJobSpec) -> tuple[Mirrored, ...]:
    """What the rules of a job have found."""
    return tuple(_mirror(job, rule) for rule in job.rules)


def _mirror(job: TrainingJobSpec, rule: RuleSpec) -> Mirrored:
    root = job.directory.root
    folder = result_folder(root, rule.configuration, rule.kind)
    memory = rules_folder(root, rule.kind) / f".stored-{rule.position}.json"
    if rule.kind == "profiler" and rule.rule == REPORT:
        return Mirrored(folder / REPORT_FOLDER, f"{rule.output}{REPORT_FOLDER}/", memory)
    return Mirrored(folder, rule.output, memory)
