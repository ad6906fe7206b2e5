"""One rule of a job: what judges, and its status, findings and log."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clary import clock
from clary.errors import ClaryError
from clary.formats.files import storage_errors
from clary.formats.findings import (
    DETAILS_LIMIT,
    Finding,
    RuleStatus,
    Status,
    append_findings,
    read_findings,
)
from clary.formats.log_file import encode_events
from clary.formats.profiler_rule_parameters import REPORT
from clary.formats.rule_request import (
    LOG_FILE,
    RuleConfiguration,
    RuleRequest,
    results_folder,
)
from clary.jobs.check_rules.judges import Judge, Watched, make_judge
from clary.jobs.check_rules.profiles import ReportJudge, make_profiler_judge
from clary.rules.runner import Now

STOP_FILE = "stop"
# A status that says nothing new but how far the rule has come is written this often.
_STATUS_SECONDS = 2.0


class Check:
    """Checks one rule configuration; owned by one thread.

    What was found before a restart is known and not repeated; a rule whose status is final stays
    as it is. Whatever a custom rule raises ends that rule alone, with status Error.
    """

    def __init__(
        self, folder: Path, configuration: RuleConfiguration, request: RuleRequest
    ) -> None:
        """Begin, or go on where an earlier process was killed.

        Raises:
            StorageError: the results cannot be written.
            FormatError: the status is damaged.
        """
        self.configuration = configuration
        self._folder = results_folder(folder, configuration.name)
        self._judge: Judge[Any] | None = None
        self._written_at = 0.0
        known_findings = read_findings(self._folder)
        self._said = {_identity(one) for one in known_findings}
        known = RuleStatus.read(self._folder)
        self.status = known or RuleStatus(
            configuration=configuration.name,
            rule=configuration.rule,
            status="InProgress",
            parameters=configuration.parameters,
            started_ms=clock.now_ms(),
        )
        if self.is_final:
            return
        parameters = ", ".join(f"{key}={text}" for key, text in configuration.parameters.items())
        self.log(f"checking {configuration.rule} ({parameters or 'defaults'}) of job {request.job}")
        self._write("InProgress", "")
        issues = [one for one in known_findings if one.kind == "issue"]
        if issues and configuration.rule != REPORT:
            # An earlier process was killed between the finding and the verdict; a report, which
            # has a verdict of its own, is made again.
            step = self.status.last_step if issues[0].step is None else issues[0].step
            self._write("IssuesFound", self._details_of_issue(issues[0], step))
            return
        if configuration.source is not None:
            # Where people's own rules write, as those of the original library do.
            logging.getLogger("smdebug").addHandler(_RuleLog(self))
        try:
            if request.kind == "profiler":
                self._judge = make_profiler_judge(configuration, self._folder)
            else:
                self._judge = make_judge(configuration, request, self.status.started_ms / 1000)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a person's file may do anything
            self._fail(error)

    @property
    def is_final(self) -> bool:
        """Whether its status will not change any more."""
        return self.status.status != "InProgress"

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether this rule alone shall end."""
        return (self._folder / STOP_FILE).exists()

    def look(self, watched: Watched, now: Now) -> None:
        """Judge what is new.

        Raises:
            StorageError: the results cannot be written.
        """
        if self.is_final or self._judge is None:
            return
        self.report_failures(watched.failures)
        try:
            found = self._judge.look(watched.seen, now)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a custom rule may raise anything
            self._fail(error)
            return
        if self.is_asked_to_stop:
            # Who asked has been told that it is stopped: no verdict comes after that.
            self.stop(watched, ended=now.ended)
            return
        self._say(found)
        if self._judge.fired is not None:
            step = self._judge.fired_step
            if step is None:
                step = self._judge.last_step
            self._write("IssuesFound", self._details_of_issue(self._judge.fired, step))
        elif now.seconds - self._written_at >= _STATUS_SECONDS:
            self._write("InProgress", "")

    def conclude(self, watched: Watched, now: Now, *, trouble: str = "") -> None:
        """Give the verdict, after the last look.

        Args:
            watched: what was looked at.
            now: the circumstances.
            trouble: why not all of it could be read.

        Raises:
            StorageError: the results cannot be written.
        """
        if self.is_final or self._judge is None:
            return
        try:
            lacking = self._judge.lacks(watched.seen, now)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a custom rule may raise anything
            self._fail(error)
            return
        if trouble:
            what = f"{self.status.rule} could not judge all {watched.noun}"
            self._write("Error", f"{what}: {trouble}")
            return
        failures = "".join(f"; the watcher failed: {_last_line(one)}" for one in watched.failures)
        if lacking is None:
            told = self._summary() + failures
            self._write("NoIssuesFound", told.removeprefix("; "))
            return
        self._say([lacking])
        hint = f": {lacking.remedy}" if lacking.remedy else ""
        self._write(
            "Error", f"{self.status.rule} could not judge: {lacking.message}{hint}{failures}"
        )

    def stop(self, watched: Watched | None = None, *, ended: bool = False) -> None:
        """End without a verdict.

        Args:
            watched: what was looked at: a report is left as it stands. None leaves none.
            ended: the training has ended, so that time was up.

        Raises:
            StorageError: the results cannot be written.
        """
        if self.is_final:
            return
        trouble = "" if watched is None else self._leave_report(watched, ended=ended)
        last = None if self._judge is None else self._judge.last_step
        when = "it had judged any step" if last is None else f"it had judged more than step {last}"
        why = "time was up after the training, and " if ended else ""
        self._write("Stopped", f"{why}the rule was stopped before {when}{trouble}")

    def _leave_report(self, watched: Watched, *, ended: bool) -> str:
        """Write the report of a rule that has one; what keeps it from that, for a sentence."""
        if not isinstance(self._judge, ReportJudge):
            return ""
        try:
            self._say(self._judge.leave(watched.seen, Now(time.time(), ended=ended)))
        except Exception as error:  # noqa: BLE001 - the rule is stopped all the same
            self.log(traceback.format_exc())
            return f"; no report was written: {error}"
        return ""

    def report_failures(self, failures: Sequence[str]) -> None:
        """Tell, once each, that the hook or its store has failed.

        Raises:
            StorageError: the results cannot be written.
        """
        self._say(
            [
                Finding(
                    rule=self.status.rule,
                    kind="watcher_failed",
                    message=f"the watcher failed, and the training went on: {_last_line(text)}",
                    detail=text,
                )
                for text in failures
            ]
        )

    def log(self, text: str) -> None:
        """Add to the rule's log.

        Raises:
            StorageError: it cannot be written.
        """
        path = self._folder / LOG_FILE
        with storage_errors(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(encode_events((clock.now_ms(), line) for line in text.splitlines()))

    def _say(self, found: Sequence[Finding]) -> None:
        fresh = []
        for finding in found:
            if _identity(finding) not in self._said:
                self._said.add(_identity(finding))
                fresh.append(finding.model_copy(update={"at_ms": clock.now_ms()}))
        if not fresh:
            return
        append_findings(self._folder, fresh)
        for finding in fresh:
            self.log(_line(finding))

    def _fail(self, error: BaseException) -> None:
        told = traceback.format_exc()
        last = str(error) if isinstance(error, ClaryError) else _last_line(told)
        self.log(told)
        self._say(
            [
                Finding(
                    rule=self.status.rule,
                    kind="watcher_failed",
                    message=f"the rule failed, and the training goes on: {last}",
                    detail=told,
                )
            ]
        )
        self._write("Error", last)

    def _details_of_issue(self, issue: Finding, step: int | None) -> str:
        return (
            f"RuleEvaluationConditionMet: Evaluation of the rule {self.status.rule} at step "
            f"{step if step is not None else 0} resulted in the condition being met\n"
            f"{self._summary() or issue.message}"
        )

    def _summary(self) -> str:
        return self._judge.summary if isinstance(self._judge, ReportJudge) else ""

    def _write(self, status: Status, details: str) -> None:
        judge = self._judge
        self.status = self.status.model_copy(
            update={
                "status": status,
                "details": details[:DETAILS_LIMIT],
                "last_step": self.status.last_step if judge is None else judge.last_step,
                "judged": self.status.judged if judge is None else judge.judged,
                "modified_ms": clock.now_ms(),
            }
        )
        self.status.write(self._folder)
        self._written_at = time.time()
        if self.is_final:
            told = f": {details}" if details else ""
            self.log(f"{status} after {self.status.judged} values{told}")


class _RuleLog(logging.Handler):
    """Writes what a custom rule logs into the rule's log."""

    def __init__(self, check: Check) -> None:
        super().__init__()
        self._check = check

    def emit(self, record: logging.LogRecord) -> None:
        """Add a record."""
        self._check.log(f"{record.levelname} {self.format(record)}")


def _identity(finding: Finding) -> tuple[str, str, str | None, int | None, str | None]:
    return finding.kind, finding.message, finding.tensor, finding.step, finding.worker


def _line(finding: Finding) -> str:
    place = "" if finding.step is None else f" at step {finding.step}"
    mode = "" if finding.mode is None else f" ({finding.mode})"
    parts = [finding.message, *(part for part in (finding.cause, finding.remedy) if part)]
    return f"{finding.kind}{place}{mode}: {'. '.join(parts)}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"
