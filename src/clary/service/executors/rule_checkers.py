"""Rules as processes of this machine: `python -m clary.jobs.check_rules FOLDER`.

| method           | what tells it                                                        |
|------------------|----------------------------------------------------------------------|
| `lives`          | `.lock`, which the process holds                                     |
| `starts`         | `.starts`, a line for each, written before the process is            |
| `end`            | the process whose command line names the folder                      |

Nothing about a running checker is kept in memory that a new service would not find again.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from clary.errors import ClaryError
from clary.formats.files import storage_errors
from clary.formats.launch import HostFiles
from clary.formats.rule_request import RuleConfiguration, ended_marker, mark_ended
from clary.service.executors.copying import copy_file
from clary.service.executors.debug_outputs import PERIOD_S, complete_tensors
from clary.service.executors.executor import Message, TrainingJobSpec
from clary.service.executors.messages import Messages
from clary.service.executors.mirrors import Mirrors
from clary.service.executors.objects import object_file
from clary.service.executors.places import split_uri
from clary.service.executors.rule_requests import rule_request
from clary.service.executors.rule_results import result_mirrors
from clary.service.executors.storing import store_at_end
from clary.service.executors.surroundings import inherited_environment
from clary.service.requests.rule_configurations import Checker, RuleSpec, result_folder
from clary.settings import Settings

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

logger = logging.getLogger(__name__)

PROGRAM = "clary.jobs.check_rules"
_STARTS = ".starts"
# Begins with a dot, as no folder of a rule's results does.
_OUTPUT = ".output.txt"
_NICENESS = 10
_LAST_BYTES = 4096


class RuleCheckers:
    """Implements `clary.service.executors.executor.Checkers`; thread-safe for different jobs.

    Args:
        settings: where messages go.
        store: the buckets.
        period_s: how often what rules have found is uploaded.
    """

    def __init__(
        self, settings: Settings, store: ObjectStore, *, period_s: float = PERIOD_S
    ) -> None:
        self._store = store
        self._results = Mirrors(store, result_mirrors, period_s=period_s, name="rule-results")
        self._messages = Messages(settings)
        self._lock = threading.Lock()
        self._started_here: list[subprocess.Popen[bytes]] = []

    def start(self, job: TrainingJobSpec, checker: Checker) -> None:
        """Start a checker that does not live.

        Raises:
            ClaryError: a custom rule cannot be had, or no process can be started.
        """
        self._prepare(job, checker)
        files = HostFiles(checker.folder)
        lock = files.hold()
        try:
            with storage_errors(checker.folder):
                with (checker.folder / _STARTS).open("a") as starts:
                    starts.write(f"{int(time.time())}\n")
                with (checker.folder / _OUTPUT).open("ab") as output:
                    process = _popen(job, checker, lock, output.fileno())
        finally:
            os.close(lock)
        with suppress(OSError):  # it has ended already, or this user may not
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        with self._lock:
            self._started_here.append(process)

    def follow(self, job: TrainingJobSpec) -> None:
        """Store what the rules of a running job find, while they find it."""
        self._results.follow(job)

    def starts(self, checker: Checker) -> int:
        """How often it was started."""
        path = checker.folder / _STARTS
        return len(path.read_text().splitlines()) if path.exists() else 0

    def lives(self, checker: Checker) -> bool:
        """Whether its process runs."""
        with self._lock:
            self._started_here = [one for one in self._started_here if one.poll() is None]
        return HostFiles(checker.folder).is_held()

    def last_words(self, checker: Checker) -> str:
        """The last line that its process printed."""
        path = checker.folder / _OUTPUT
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LAST_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def end(self, checker: Checker, *, at_once: bool = False) -> None:
        """Ask the process to end, or end it at once."""
        if not self.lives(checker):
            return
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if PROGRAM in command and command[-1] == str(checker.folder):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)

    def stop_rule(self, checker: Checker, configuration: str) -> None:
        """Ask that one of its rules be judged no more.

        Raises:
            StorageError: it cannot be told.
        """
        path = checker.result(configuration) / "stop"
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def training_ended(self, job: TrainingJobSpec) -> None:
        """Tell all checkers of a job that nothing more will come to judge.

        What writers that were killed have left is made whole before: the last look of a checker
        sees it.

        Raises:
            StorageError: they cannot be told.
        """
        try:
            complete_tensors(job)
        except (ClaryError, OSError) as error:
            # They judge what can be read; `executor.collect` says it in the job's log.
            logger.warning("The tensors of %s are not whole: %s", job.name, error)
        for checker in job.checkers:
            with storage_errors(checker.folder):
                checker.folder.mkdir(parents=True, exist_ok=True)
            if not ended_marker(checker.folder).exists():  # its time is the end of the training
                mark_ended(checker.folder)

    def collect(self, job: TrainingJobSpec) -> None:
        """Store what the rules of a job have found; where that fails, the job's log says so."""
        store_at_end(job, self._results.finish, "what the rules found")

    def send(self, message: Message) -> str | None:
        """Send a message that was not sent yet.

        Raises:
            ClaryError: no process can be started for it.
        """
        return self._messages.send(message)

    def close(self) -> None:
        """Let go of the thread; checkers that run go on."""
        self._results.close()

    def _prepare(self, job: TrainingJobSpec, checker: Checker) -> None:
        for rule in checker.rules:
            result = checker.result(rule.configuration)
            with storage_errors(result):
                result.mkdir(parents=True, exist_ok=True)
            if rule.apart:
                seen = result_folder(job.directory.root, rule.configuration, rule.kind)
                _link(result, seen)
        rules = [self._configuration(job, checker, rule) for rule in checker.rules]
        rule_request(job, checker.kind, rules).write(checker.folder)

    def _configuration(
        self, job: TrainingJobSpec, checker: Checker, rule: RuleSpec
    ) -> RuleConfiguration:
        return RuleConfiguration(
            name=rule.configuration,
            rule=rule.rule,
            parameters=dict(rule.parameters),
            source=None if rule.source is None else self._bring(job, checker, rule.source),
            others=tuple(self._place(uri) for uri in rule.others),
        )

    def _bring(self, job: TrainingJobSpec, checker: Checker, uri: str) -> Path:
        """The file of a custom rule, copied: what is in S3 may change meanwhile."""
        found = object_file(self._store, uri, job)
        target = checker.folder / "source" / (uri.rpartition("/")[2] or "rule.py")
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        copy_file(found, target)
        return target

    def _place(self, uri: str) -> str:
        """Where another run's tensors are: their folder, for what is in a bucket of this store."""
        if not uri.startswith("s3://"):
            return uri
        bucket, prefix = split_uri(uri)
        if not self._store.has_bucket(bucket):
            return uri
        folder = self._store.folder(bucket, prefix.rstrip("/") + "/")
        return uri if folder is None else str(folder)


def _popen(
    job: TrainingJobSpec, checker: Checker, lock: int, output: int
) -> subprocess.Popen[bytes]:
    environment = {**inherited_environment(), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
    if checker.custom:
        # Somebody's code: it may ask S3, and may import what AWS's own library is called.
        environment = {**environment, **job.environment}
    try:
        return subprocess.Popen(
            [sys.executable, "-m", PROGRAM, str(checker.folder)],
            pass_fds=[lock],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except OSError as error:
        raise ClaryError(f"no process can be started to check rules: {error}") from error


def _link(result: Path, seen: Path) -> None:
    """Let the results of a rule with a process of its own be seen beside those of the others."""
    with storage_errors(seen):
        if seen.is_symlink():
            return
        seen.parent.mkdir(parents=True, exist_ok=True)
        if seen.exists():
            shutil.rmtree(seen)
        seen.symlink_to(result)
