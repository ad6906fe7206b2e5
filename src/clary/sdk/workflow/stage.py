"""What a stage is, and what all stages of one run share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from threading import Event
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from clary.errors import Interrupted, ServiceError, ServiceUnreachable
from clary.formats.job_directory import JobDirectory
from clary.formats.workflow_record import Found, StageName, StageRecord, WorkflowRecord
from clary.sdk.processes import quiet_job_program
from clary.sdk.session import Session
from clary.sdk.workflow.plan import WorkflowPlan
from clary.settings import Settings

PICTURES_FOLDER = "pictures"
SCRIPT_FILE = "ask.py"
_PAUSE_S = 0.2
# A service that does not stay is not started for ever.
_RECONNECTIONS = 5

Answer = TypeVar("Answer")
FoundOf = TypeVar("FoundOf")


class Progress(NamedTuple):
    """How far a stage is: a few words, and how much of how much is done where that is known."""

    words: str = ""
    done: int = 0
    total: int | None = None


class Listener:
    """Hears how a run goes, on the thread that runs it; does nothing until it is overridden."""

    def began(self, stage: StageName) -> None:
        """A stage has begun."""

    def told(self, stage: StageName, sentence: str) -> None:
        """What a stage sets out to do, such as the name of its job."""

    def moved(self, stage: StageName, progress: Progress) -> None:
        """A stage is farther than before."""

    def ended(self, stage: StageRecord, *, kept: bool) -> None:
        """A stage is done: just now, or in an earlier run."""

    def left_out(self, stage: StageName, sentence: str) -> None:
        """A stage is not wanted."""


class Outcome(NamedTuple):
    """What has come of a stage: in a line for people, and for the stages after it."""

    sentence: str
    found: Found


class Stage(Protocol):
    """One of the seven. Owned by the workflow; used by one thread."""

    name: ClassVar[StageName]

    def inputs(self, run: Run) -> Mapping[str, Any]:
        """All that the stage depends on, as JSON can say it: while it is the same, what was found
        holds.
        """
        ...

    def holds(self, run: Run, found: Found) -> bool:
        """Whether what was found with the same inputs is still there, and enough."""
        ...

    def work(self, run: Run, before: Found | None, *, same: bool) -> Outcome:
        """Do it, or go on with what an earlier run has begun.

        Args:
            run: what all stages share.
            before: what is known from an earlier run; None where nothing is.
            same: whether that was with the same inputs.

        Raises:
            ClaryError: it cannot be done.
            Interrupted: a stop was asked for.
        """
        ...


@dataclass
class Run:
    """What the stages of one run share. Owned by the workflow; used by one thread, but for `stop`.

    `until` is the moment of `time.monotonic` at which the time limit is over, None without one;
    `inputs` stands for what the stage that runs depends on.
    """

    plan: WorkflowPlan
    settings: Settings
    folder: Path
    record: WorkflowRecord
    listener: Listener
    stop: Event = field(default_factory=Event)
    until: float | None = None
    inputs: str = ""

    @cached_property
    def session(self) -> Session:
        """With the service, which is started when it does not run."""
        return Session.on_this_machine(self.settings)

    @property
    def pictures(self) -> Path:
        """Holds the held-out pictures that the endpoint is asked about."""
        return self.folder / PICTURES_FOLDER

    @property
    def script(self) -> Path:
        """A program of boto3's that asks the endpoint, for whoever goes on from there."""
        return self.folder / SCRIPT_FILE

    @property
    def run_program(self) -> Callable[[str, Sequence[str]], tuple[int, str]]:
        """Runs a job program without a word on the terminal, until a stop is asked for."""
        return partial(quiet_job_program, stopped=self.stop.is_set)

    def found(self, kind: type[FoundOf]) -> FoundOf:
        """What an earlier stage has found, which must have been run."""
        for stage in self.record.stages:
            if isinstance(stage.found, kind):
                return stage.found
        raise LookupError(f"no stage has found {kind.__name__}")

    def note(self, found: Found) -> None:
        """Write down what a stage is about to make, so that it is found again after a kill.

        Raises:
            StorageError: the folder cannot be written.
        """
        stage = self.record.of(found.stage)
        if stage is not None:
            news = {"found": found, "inputs": self.inputs}
            self.write(self.record.having(stage.model_copy(update=news)))

    def write(self, record: WorkflowRecord) -> None:
        """Replace the record.

        Raises:
            StorageError: the folder cannot be written.
        """
        self.record = record
        record.write(self.folder)

    def seconds_left(self) -> float | None:
        """Of the time limit; None without one."""
        return None if self.until is None else max(0.0, self.until - time.monotonic())

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """Ask the service; one that was killed is started again, and its jobs have gone on.

        Raises:
            ServiceError: it does not stay, or refuses.
        """
        for _ in range(_RECONNECTIONS):
            try:
                return question()
            except ServiceUnreachable:
                self.session.reconnect()
        return question()

    def pause(self, seconds: float = _PAUSE_S) -> bool:
        """Wait for a moment; True when a stop is asked for."""
        return self.stop.wait(seconds)

    def require_going_on(self, stage: str) -> None:
        """Be sure that nobody has asked for a stop.

        Raises:
            Interrupted: somebody has.
        """
        if self.stop.is_set():
            raise Interrupted(f"stopped in {stage}")


def directory_of(run: Run, job: str) -> JobDirectory:
    """The directory of a training job of this machine."""
    return JobDirectory(run.settings.jobs_dir / job)


def require_completed(kind: str, name: str, status: str, reason: str | None) -> None:
    """Be sure that a job has ended well.

    Raises:
        ServiceError: it has not; with the reason.
    """
    if status != "Completed":
        why = f": {reason.rstrip('.')}" if reason else ""
        raise ServiceError(f"the {kind} {name} ended as {status}{why}")
