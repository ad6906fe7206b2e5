"""What judges where a job's time goes, for one rule configuration."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from clary.errors import UsageError
from clary.formats.findings import Finding
from clary.formats.profiler_rule_parameters import (
    REPORT,
    REPORTED_RULES,
    ReportParameters,
    parse_profiler_parameters,
)
from clary.formats.rule_request import RuleConfiguration, RuleRequest, ended_marker
from clary.formats.timeline.entries import Mode
from clary.jobs.check_rules.judges import Judge
from clary.profiler.diagnosis import verdict
from clary.profiler.profile import JobTimes, Profile
from clary.profiler.rules import BUILT_IN
from clary.profiler.rules.judging import of_diagnoses
from clary.profiler.rules.rule import Judgement, Moment, ProfilerRule
from clary.rules.runner import Now

REPORT_FOLDER = "profiler-output"
_REPORT_SECONDS = 60.0
# What is found without a rule of SageMaker's that could fire for it is told in this one's name.
_TELLS_THE_REST = "OverallFrameworkMetrics"


class Profiles:
    """The profile of a job, over all its hosts; one thread uses it."""

    noun = "profiles"

    def __init__(self, request: RuleRequest, folder: Path) -> None:
        """Nothing is read before the first refresh.

        Args:
            request: which job.
            folder: the request's own, where the job's end is marked.
        """
        self._ended = ended_marker(folder)
        times = JobTimes(request.job, request.started_s, None, dict(request.about))
        self._profile = Profile.of(request.profiles, times)

    @property
    def seen(self) -> Profile:
        """As it was refreshed last."""
        return self._profile

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong with the watching itself."""
        return self._profile.failures

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        Raises:
            FormatError: a file is damaged, or of a later version.
            OSError: a file cannot be read.
        """
        job = self._profile.job
        if job.ended_s is None and self._ended.exists():
            at = self._ended.stat().st_mtime
            self._profile.job = JobTimes(job.name, job.started_s, at, job.details)
        return self._profile.refresh()


def make_profiler_judge(configuration: RuleConfiguration, folder: Path) -> Judge[Profile]:
    """What the configuration asks for, of a request that judges a profile.

    Args:
        configuration: the rule.
        folder: where its results are; the report is written into it.

    Raises:
        UsageError: there is no such rule, it is a custom one, or a parameter cannot be used.
    """
    if configuration.source is not None:
        raise UsageError(
            f"rule {configuration.rule!r} has a file of its own, which is not offered for rules of "
            f"the profiler: choose from {', '.join((*BUILT_IN, REPORT))}"
        )
    parameters = parse_profiler_parameters(configuration.rule, configuration.parameters)
    if isinstance(parameters, ReportParameters):
        rules = [BUILT_IN[name](parameters.of(name)) for name in REPORTED_RULES]
        return ReportJudge(rules, folder / REPORT_FOLDER)
    return ProfilerJudge(BUILT_IN[configuration.rule](parameters))


class ProfilerJudge:
    """One rule over the profile of a job; owned by one thread."""

    def __init__(self, rule: ProfilerRule) -> None:
        self._rule = rule
        self.fired: Finding | None = None
        self.fired_step: int | None = None
        self.judged = 0
        self.last_step: int | None = None

    def look(self, seen: Profile, now: Now) -> list[Finding]:
        """Judge all that is known; nothing once an issue was found."""
        if self.fired is not None:
            return []
        judgement = self._rule.judge(seen, Moment(now.seconds, now.ended))
        self.judged, self.last_step = judgement.datapoints, _last_step(seen)
        self.fired = next((one for one in judgement.findings if one.kind == "issue"), None)
        self.fired_step = None if self.fired is None else self.fired.step
        return list(judgement.findings)

    def lacks(self, seen: Profile, now: Now) -> Finding | None:
        """Nothing: a rule that has nothing to judge says so, and has found nothing."""
        return None


class ReportJudge:
    """All rules over the profile of a job, and the report of what they say; owned by one thread.

    It gives its verdict once the job is over: the report belongs to it. Until then the report is
    written now and then as it stands. A rule that fails is told of, and the others judge.
    """

    def __init__(self, rules: Sequence[ProfilerRule], folder: Path) -> None:
        """Nothing is written before the first look.

        Args:
            rules: what judges.
            folder: for the report.
        """
        # Here, so that it is loaded when the job ends.
        from clary.jobs.profile_report import write_profile_report

        self._write = write_profile_report
        self._rules = tuple(rules)
        self._folder = folder
        self._written_at: float | None = None
        self.fired: Finding | None = None
        self.fired_step: int | None = None
        self.judged = 0
        self.last_step: int | None = None
        self.summary = ""
        """The verdict, a line for each sentence, once there is one."""

    def look(self, seen: Profile, now: Now) -> list[Finding]:
        """Judge all that is known; issues are told once the job is over.

        Raises:
            StorageError: the report cannot be written.
        """
        self.last_step = _last_step(seen)
        if self._written_at is None:
            self._written_at = now.seconds
        if self.fired is not None or not (
            now.ended or now.seconds - self._written_at >= _REPORT_SECONDS
        ):
            return []
        # Before anything is said: whoever reads that it has ended finds the report.
        judgements, failures = self._report(seen, now)
        if not now.ended:
            return failures
        self.summary = "\n".join(verdict(seen))
        issues = [
            finding
            for judgement in judgements.values()
            for finding in judgement.findings
            if finding.kind == "issue"
        ]
        issues += of_diagnoses(seen, _TELLS_THE_REST)
        self.fired = issues[0] if issues else None
        return [*failures, *issues]

    def lacks(self, seen: Profile, now: Now) -> Finding | None:
        """Nothing: there is a report of whatever was seen."""
        return None

    def leave(self, seen: Profile, now: Now) -> list[Finding]:
        """Write the report as it stands, without a verdict; rules that have failed.

        Raises:
            StorageError: the report cannot be written.
        """
        self.last_step = _last_step(seen)
        return self._report(seen, now)[1]

    def _report(self, seen: Profile, now: Now) -> tuple[Mapping[str, Judgement], list[Finding]]:
        judgements, failures = self._judge(seen, Moment(now.seconds, now.ended))
        self.judged = sum(one.datapoints for one in judgements.values())
        given = {rule.name: rule.parameters for rule in self._rules}
        self._write(seen, self._folder, judgements, parameters=given)
        self._written_at = now.seconds
        return judgements, failures

    def _judge(
        self, profile: Profile, moment: Moment
    ) -> tuple[Mapping[str, Judgement], list[Finding]]:
        judgements: dict[str, Judgement] = {}
        failures: list[Finding] = []
        for rule in self._rules:
            try:
                judgements[rule.name] = rule.judge(profile, moment)
            except Exception as error:  # noqa: BLE001 - the other rules and the report go on
                failure = Finding(
                    rule=rule.name,
                    kind="watcher_failed",
                    message=f"rule {rule.name} failed, and the others judge: {error}",
                    detail=traceback.format_exc(),
                )
                failures.append(failure)
                judgements[rule.name] = Judgement(findings=(failure,))
        return judgements, failures


def _last_step(profile: Profile) -> int | None:
    steps = profile.steps(Mode.TRAIN)
    return int(steps["step"][-1] + steps["merged"][-1] - 1) if len(steps) else None
