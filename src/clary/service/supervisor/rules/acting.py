"""What rules do when they fire: stop a training job, or tell somebody.

Each action is done once: what has become of it is stored with the rule, a stop in the same
transaction as the stop itself, a message through a process of its own that remembers. A job does
not wait for its messages to arrive: `delivering` asks later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clary import clock
from clary.formats.files import storage_errors
from clary.formats.findings import read_findings
from clary.formats.log_file import encode_events
from clary.service.executors.executor import Checkers, Message, TrainingJobSpec
from clary.service.requests.rule_configurations import Action, RuleSpec, result_folder
from clary.service.state.log_streams import LogStream
from clary.service.state.rule_evaluations import RuleEvaluation
from clary.service.state.state import State
from clary.service.state.training_jobs import TrainingJob
from clary.service.supervisor.rules.evaluations import LOG_GROUP
from clary.service.supervisor.transitions import Event, advance

# What is stored of a message while its process sends it.
BEING_SENT = "being sent"


class Actions:
    """Does what the rules of one job ask for; one thread uses it.

    Another one of the same job does no harm, as what was done is stored.
    """

    def __init__(self, state: State, checkers: Checkers, job: TrainingJobSpec) -> None:
        self._state = state
        self._checkers = checkers
        self._job = job

    @staticmethod
    def missing(evaluation: RuleEvaluation, rule: RuleSpec) -> list[int]:
        """The actions of a rule that are to be done, by their places."""
        if evaluation.status != "IssuesFound":
            return []
        return [place for place in range(len(rule.actions)) if place not in evaluation.actions]

    def perform(self, evaluation: RuleEvaluation, rule: RuleSpec) -> bool:
        """Do what a rule that has fired asks for; whether a job was stopped.

        Raises:
            ClaryError: a message cannot be sent now.
            StorageError: the database or the disk cannot be written.
        """
        stopped = False
        for place in self.missing(evaluation, rule):
            action = rule.actions[place]
            if action.name == "stoptraining":
                stopped = self._stop(evaluation, place, action) or stopped
            else:
                self._send(evaluation, place, action)
        self.ask(evaluation, rule)
        return stopped

    def ask(self, evaluation: RuleEvaluation, rule: RuleSpec) -> bool:
        """Store what has become of messages that were being sent; whether none is any more.

        Raises:
            ClaryError: the process of a message was killed, and no other one can be started now.
            StorageError: the database or the disk cannot be written.
        """
        waiting = [place for place, said in evaluation.actions.items() if said == BEING_SENT]
        outcomes = [self._send(evaluation, place, rule.actions[place]) for place in waiting]
        return BEING_SENT not in outcomes

    def give_up(self, evaluation: RuleEvaluation, rule: RuleSpec) -> None:
        """Note what could not be done in time.

        Raises:
            StorageError: the database or the disk cannot be written.
        """
        for place in self.missing(evaluation, rule):
            self._note(evaluation, place, rule.actions[place], "not done: it took too long")

    def _stop(self, evaluation: RuleEvaluation, place: int, action: Action) -> bool:
        prefix = action.target or self._job.name
        at_ms = clock.now_ms()
        whose = "" if prefix == self._job.name else f" of {self._job.name}"
        why = f"Stopping the training job: the rule {evaluation.configuration}{whose} has fired"

        def stop(job: TrainingJob) -> TrainingJob | None:
            return advance(job, Event.RULE_FIRED, at_ms, why)

        told: list[str] = []

        def tell(one: RuleEvaluation, names: Sequence[str]) -> RuleEvaluation | None:
            if place in one.actions:
                return None
            told.append(_stop_outcome(prefix, names))
            return replace(one, actions={**one.actions, place: told[-1]})

        stopped = self._state.change_the_one(prefix, stop, evaluation.number, tell)
        if told:
            self._log(evaluation, action, told[-1])
        return stopped

    def _send(self, evaluation: RuleEvaluation, place: int, action: Action) -> str:
        folder = self._folder(evaluation) / str(place)
        content = self._content(evaluation, action)
        outcome = self._checkers.send(Message(folder, content)) or BEING_SENT
        self._note(evaluation, place, action, outcome)
        return outcome

    def _content(self, evaluation: RuleEvaluation, action: Action) -> Mapping[str, Any]:
        root = self._job.directory.root
        found = read_findings(result_folder(root, evaluation.configuration, evaluation.kind))
        issues = [one.model_dump(mode="json") for one in found if one.kind == "issue"]
        return {
            "subject": f"SMDebugRule:{evaluation.rule} fired",
            "message": evaluation.details.strip(),
            "kind": action.name,
            "endpoint": action.target,
            "training_job": self._job.name,
            "training_job_arn": self._job.arn,
            "rule": evaluation.rule,
            "rule_configuration": evaluation.configuration,
            "processing_job_arn": evaluation.arn,
            "findings": issues[:1],
        }

    def _note(self, evaluation: RuleEvaluation, place: int, action: Action, outcome: str) -> None:
        def note(one: RuleEvaluation) -> RuleEvaluation | None:
            said = one.actions.get(place)
            if said not in (None, BEING_SENT) or said == outcome:
                return None
            return replace(one, actions={**one.actions, place: outcome})

        if self._state.rule_evaluations.change(evaluation.number, note) is not None:
            self._log(evaluation, action, outcome)

    def _log(self, evaluation: RuleEvaluation, action: Action, outcome: str) -> None:
        """Tell what was done in a stream of its own: the rule's log has another writer."""
        at_ms = clock.now_ms()
        path = self._folder(evaluation) / "log"
        what = action.name if action.target is None else f"{action.name} ({action.target})"
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(encode_events([(at_ms, f"{what}: {outcome}")]))
        name = f"{evaluation.name}/actions-{evaluation.created_ms // 1000}"
        self._state.logs.add_stream(LogStream(LOG_GROUP, name, path, at_ms))

    def _folder(self, evaluation: RuleEvaluation) -> Path:
        return self._job.directory.root / "rules.actions" / evaluation.name


def _stop_outcome(prefix: str, names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"stops {names[0]}"
    if not names:
        return f"no job is stopped: none whose name begins with {prefix!r} is training"
    return (
        f"no job is stopped: the names of {', '.join(names)} begin with {prefix!r}, and exactly "
        "one must"
    )
