"""How the rules of a training stand, and what they found.

Read from the job's directory where it is on this machine, which is as fresh as can be, and from
S3 otherwise. A rule that ran on AWS leaves no findings: its status says that it found something.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from clary.formats.finding_sentences import JUDGING
from clary.formats.findings import (
    FINDINGS_FILE,
    Finding,
    Kind,
    RuleStatus,
    parse_findings,
    read_findings,
)
from clary.formats.profiler_rule_parameters import REPORT
from clary.formats.rule_request import RuleKind
from clary.sdk.session import Session, spoken_faults
from clary.sdk.storage import split_uri

RULES_FOLDER = "rules"
PROFILER_RULES_FOLDER = "rules.profiler"
REPORT_PAGE = "profiler-output/profiler-report.html"

_STATUSES: Mapping[RuleKind, str] = {
    "debug": "DebugRuleEvaluationStatuses",
    "profiler": "ProfilerRuleEvaluationStatuses",
}
_CONFIGURATIONS: Mapping[RuleKind, str] = {
    "debug": "DebugRuleConfigurations",
    "profiler": "ProfilerRuleConfigurations",
}


@dataclass(frozen=True)
class RuleEvaluation:
    """How a rule stands, as DescribeTrainingJob says it.

    `status` is `InProgress`, `NoIssuesFound`, `IssuesFound`, `Error`, `Stopping` or `Stopped`,
    `details` the sentence beside it, `modified` an aware time.
    """

    name: str
    status: str
    details: str = ""
    arn: str | None = None
    modified: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status not in JUDGING


def evaluations_of(job: Mapping[str, Any], kind: RuleKind = "debug") -> tuple[RuleEvaluation, ...]:
    """The rules of one kind that DescribeTrainingJob lists, in its order."""
    return tuple(
        RuleEvaluation(
            name=str(row["RuleConfigurationName"]),
            status=str(row.get("RuleEvaluationStatus") or "InProgress"),
            details=str(row.get("StatusDetails") or "").strip(),
            arn=row.get("RuleEvaluationJobArn"),
            modified=row.get("LastModifiedTime"),
        )
        for row in job.get(_STATUSES[kind]) or ()
    )


def findings_of(session: Session, job: Mapping[str, Any]) -> tuple[Finding, ...]:
    """What a job's rules found, rule by rule.

    Args:
        session: with the service that has the job.
        job: what DescribeTrainingJob said.

    Raises:
        ServiceError: the service refuses or does not answer.
    """
    if session.settings is not None:
        folder = session.settings.jobs_dir / str(job["TrainingJobName"]) / RULES_FOLDER
        if folder.is_dir():
            return tuple(findings_in(folder))
    return tuple(_stored_findings(session, job))


def profiler_report_of(session: Session, job: Mapping[str, Any]) -> str | None:
    """The page that ProfilerReport has written; None where the job has no such rule, or it has not
    written any yet.

    Args:
        session: with the service that has the job.
        job: what DescribeTrainingJob said.

    Raises:
        ServiceError: the service refuses or does not answer.
    """
    for row in job.get(_CONFIGURATIONS["profiler"]) or ():
        name = str(row["RuleConfigurationName"])
        if (row.get("RuleParameters") or {}).get("rule_to_invoke", name) == REPORT:
            page = _stored(session, _place(job, row), job, name, REPORT_PAGE)
            return None if page is None else page.decode("utf-8")
    return None


class FindingTail:
    """Reads what rules find while they judge; used by one thread.

    Args:
        folder: holds a folder for each rule; it need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[Path, int] = {}
        self._read: dict[Path, int] = {}

    def new_findings(self) -> Iterator[Finding]:
        """What has come since the last call."""
        if not self._folder.is_dir():
            return
        for file in sorted(self._folder.glob(f"*/{FINDINGS_FILE}")):
            size = file.stat().st_size
            if size == self._sizes.get(file):
                continue
            self._sizes[file] = size
            found = _named_findings(file.parent)
            yield from found[self._read.get(file, 0) :]
            self._read[file] = len(found)


def findings_in(folder: Path) -> Iterator[Finding]:
    """What all rules found that have a folder in this one, rule by rule."""
    for rule in sorted(path for path in folder.iterdir() if path.is_dir()):
        yield from _named_findings(rule)


def _named_findings(folder: Path) -> tuple[Finding, ...]:
    """What a rule found, under the name that it has in its job."""
    found = read_findings(folder)
    status = RuleStatus.read(folder) if found else None
    if status is None or status.configuration == status.rule:
        return found
    return tuple(one.model_copy(update={"rule": status.configuration}) for one in found)


def _place(job: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    """Where the results of a rule go, of its configuration."""
    return str(rule.get("S3OutputPath") or job["OutputDataConfig"]["S3OutputPath"])


def _stored_findings(session: Session, job: Mapping[str, Any]) -> Iterator[Finding]:
    places = {
        str(row["RuleConfigurationName"]): _place(job, row)
        for row in job.get(_CONFIGURATIONS["debug"]) or ()
    }
    for evaluation in evaluations_of(job):
        place = places.get(evaluation.name)
        found = () if place is None else _stored_by(session, place, job, evaluation.name)
        if not found and evaluation.status in {"IssuesFound", "Error"}:
            kind: Kind = "issue" if evaluation.status == "IssuesFound" else "watcher_failed"
            found = (Finding(rule=evaluation.name, kind=kind, message=evaluation.details),)
        yield from found


def _stored_by(
    session: Session, place: str, job: Mapping[str, Any], rule: str
) -> tuple[Finding, ...]:
    content = _stored(session, place, job, rule, FINDINGS_FILE)
    found = () if content is None else parse_findings(content)
    return tuple(one.model_copy(update={"rule": rule}) for one in found)


def _stored(
    session: Session, place: str, job: Mapping[str, Any], rule: str, file: str
) -> bytes | None:
    """A file of a rule's results in S3; None where there is none."""
    uri = f"{place.rstrip('/')}/{job['TrainingJobName']}/rule-output/{rule}/{file}"
    bucket, key = split_uri(uri)
    content = io.BytesIO()
    with spoken_faults():
        try:
            session.client("s3").download_fileobj(bucket, key, content)
        except ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            return None
    return content.getvalue()
