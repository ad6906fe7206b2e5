"""Checkers whose processes live in memory, and whose words are real files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from clary.errors import ClaryError
from clary.formats.findings import Finding, RuleStatus, append_findings
from clary.formats.rule_request import mark_ended
from clary.service.executors.executor import Message, TrainingJobSpec
from clary.service.requests.rule_configurations import Checker


@dataclass
class Process:
    """The process of one checker."""

    starts: int = 0
    lives: bool = False
    last_words: str = ""
    signals: list[str] = field(default_factory=list)


class MemoryCheckers:
    """Checks nothing; the test says what rules report. Thread-safe.

    `verdicts` holds the status that rules reach when their training has ended, NoIssuesFound where
    nothing is said; None keeps them silent. Unless it `delivers`, messages stay under way. `before`
    and `after` are called with a method's name around its effect, and may raise to cut it off
    there.
    """

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {}
        self.verdicts: dict[str, str | None] = {}
        self.refusal: ClaryError | None = None
        self.sent: list[Message] = []
        self.stopped: list[str] = []
        self.collected: list[str] = []
        self.heeds_sigterm = True
        self.delivers = True
        self.before: Callable[[str], None] = lambda method: None
        self.after: Callable[[str], None] = lambda method: None
        self._lock = threading.RLock()

    def of(self, checker: Checker) -> Process:
        with self._lock:
            return self.processes.setdefault(str(checker.folder), Process())

    def say(
        self, checker: Checker, configuration: str, status: str, details: str = "", step: int = 0
    ) -> None:
        """What the process writes of one of its rules."""
        with self._lock:
            self._write(checker, configuration, status, details, step)

    def _write(
        self, checker: Checker, configuration: str, status: str, details: str, step: int
    ) -> None:
        folder = checker.result(configuration)
        rule = next(one.rule for one in checker.rules if one.configuration == configuration)
        if status == "IssuesFound":
            finding = Finding(rule=rule, kind="issue", message="it is ill", step=step)
            append_findings(folder, [finding])
        RuleStatus.model_validate(
            {
                "configuration": configuration,
                "rule": rule,
                "status": status,
                "details": details,
                "started_ms": int(time.time() * 1000),
            }
        ).write(folder)

    def die(self, checker: Checker, words: str = "") -> None:
        process = self.of(checker)
        process.lives, process.last_words = False, words

    def start(self, job: TrainingJobSpec, checker: Checker) -> None:
        self.before("start")
        if self.refusal is not None:
            raise self.refusal
        process = self.of(checker)
        assert not process.lives, "a checker that lives was started again"
        process.starts += 1
        process.lives = True
        with self._lock:
            for rule in checker.rules:
                if RuleStatus.read(checker.result(rule.configuration)) is None:
                    self.say(checker, rule.configuration, "InProgress")
        if (checker.folder / "ended").exists():
            self._judge_the_rest(checker)
        self.after("start")

    def starts(self, checker: Checker) -> int:
        return self.of(checker).starts

    def lives(self, checker: Checker) -> bool:
        return self.of(checker).lives

    def last_words(self, checker: Checker) -> str:
        return self.of(checker).last_words

    def end(self, checker: Checker, *, at_once: bool = False) -> None:
        process = self.of(checker)
        process.signals.append("KILL" if at_once else "TERM")
        if process.lives and (at_once or self.heeds_sigterm):
            process.lives = False
            if not at_once:
                for rule in checker.rules:
                    said = RuleStatus.read(checker.result(rule.configuration))
                    if said is None or said.status == "InProgress":
                        self.say(checker, rule.configuration, "Stopped")

    def stop_rule(self, checker: Checker, configuration: str) -> None:
        self.stopped.append(configuration)

    def training_ended(self, job: TrainingJobSpec) -> None:
        self.before("training_ended")
        for checker in job.checkers:
            checker.folder.mkdir(parents=True, exist_ok=True)
            mark_ended(checker.folder)
            if self.of(checker).lives:
                self._judge_the_rest(checker)
        self.after("training_ended")

    def collect(self, job: TrainingJobSpec) -> None:
        self.before("collect_rules")
        self.collected.append(job.name)
        self.after("collect_rules")

    def send(self, message: Message) -> str | None:
        self.before("send")
        if all(one.folder != message.folder for one in self.sent):
            self.sent.append(message)
        self.after("send")
        if not self.delivers:
            return None
        return "posted to http://127.0.0.1/"

    def _judge_the_rest(self, checker: Checker) -> None:
        silent = False
        for rule in checker.rules:
            said = RuleStatus.read(checker.result(rule.configuration))
            verdict = self.verdicts.get(rule.configuration, "NoIssuesFound")
            silent = silent or verdict is None
            if verdict is not None and (said is None or said.status == "InProgress"):
                self.say(checker, rule.configuration, verdict)
        if not silent:
            self.of(checker).lives = False
