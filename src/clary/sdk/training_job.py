"""Starting a training as a process with a job directory, and what is left of it afterwards.

    TrainingJob.create("photos", {"epochs": "5"}, settings)     a new directory, inputs, record
    TrainingJob.resume(directory, {"epochs": "9"}, settings)    the same directory, changed options
    job.run()                                                   the process, the archive, the status

This is the one place that starts trainings. Not thread-safe: `run` handles signals, so it is
called on the main thread.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.errors import ClaryError, StorageError, UsageError
from clary.formats.files import storage_errors
from clary.formats.job_directory import TRAINING_CHANNEL, JobDirectory
from clary.formats.job_record import JobRecord, JobStatus, utc_now
from clary.formats.model_archive import DESCRIPTION_FILE, pack_model
from clary.formats.training_options import TrainingOptions
from clary.sdk.locations import resolve_data, resolve_model
from clary.sdk.processes import ProgramEnd, job_command, run_program, shared_cores
from clary.settings import Settings

# SageMaker's pattern of TrainingJobName.
JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
JOB_NAME_LIMIT = 63


@dataclass(frozen=True)
class TrainingJob:
    """A job whose directory is prepared. `record` is what `job.json` said at that moment."""

    directory: JobDirectory
    record: JobRecord
    resumed: bool = False

    @classmethod
    def create(
        cls,
        data: str,
        options: Mapping[str, Any],
        settings: Settings,
        *,
        name: str | None = None,
        output: Path | None = None,
    ) -> TrainingJob:
        """Prepare a new job.

        Args:
            data: a path or a known name.
            options: fields of `TrainingOptions`, text allowed.
            settings: whose home keeps the job.
            name: at most 63 letters, digits and inner hyphens; that of the output folder by
                default, or made of the data's name and the time.
            output: the job's directory, new or empty; `jobs/<name>` of the home by default.

        Raises:
            DataError: there is no such data.
            UsageError: an option is out of bounds, or the name or the directory is taken.
            StorageError: the directory cannot be written.
        """
        location = resolve_data(data)
        hyperparameters = _hyperparameters(options, settings)
        if name is not None:
            _check_name(name, settings)
        name = name or _made_up_name(location, output, settings)
        root = settings.jobs_dir / name if output is None else output.expanduser().absolute()
        with storage_errors(root):
            holds_a_job = JobDirectory(root).job_file.exists()
        if holds_a_job:
            raise UsageError(
                f"{root} holds a job already: choose another folder, or go on with that job by "
                f"`clary train --resume {root}`"
            )
        with storage_errors(root):
            if root.exists() and (not root.is_dir() or any(root.iterdir())):
                raise UsageError(f"{root} is not an empty folder: choose another one for the job")
        directory = JobDirectory(root)
        directory.create()
        directory.write_inputs(hyperparameters, {TRAINING_CHANNEL: location})
        now = utc_now()
        record = JobRecord(name=name, data=location, status="InProgress", created=now, started=now)
        record.write(directory)
        if output is not None:
            _list_under(settings.jobs_dir / name, root)
        return cls(directory, record)

    @classmethod
    def resume(
        cls,
        directory: JobDirectory,
        options: Mapping[str, Any],
        settings: Settings,
        *,
        data: str | None = None,
    ) -> TrainingJob:
        """Prepare an earlier job to go on from its last checkpoint.

        Args:
            directory: of the earlier job.
            options: what differs from the earlier options.
            settings: whose home is searched for the models that options name.
            data: when given, must be what the job was trained on.

        Raises:
            UsageError: an option is out of bounds, the data differ, or the job is running.
            DataError: there is no such data.
            FormatError: the job's files are damaged.
            StorageError: the directory cannot be written.
        """
        record = JobRecord.read(directory)
        if data is not None and resolve_data(data) != record.data:
            raise UsageError(
                f"the job {record.name} was trained on {record.data}, not on {data}: leave the "
                "data out to go on with it, or leave --resume out to start a new job"
            )
        with _locked(directory, record.name):
            earlier = TrainingOptions.from_hyperparameters(directory.hyperparameters())
            merged = {**earlier.model_dump(exclude_unset=True), **options}
            directory.replace_hyperparameters(_hyperparameters(merged, settings))
        return cls(directory, record, resumed=True)

    def run(self, arguments: tuple[str, ...] = (), *, processes: int = 1) -> JobRecord:
        """Train, pack the model, and set the status; returns when the program has ended.

        Args:
            arguments: further arguments of the training program.
            processes: above 1, as many train together under torchrun.

        Raises:
            UsageError: the job is running already.
            StorageError: the directory cannot be written, or the disk is full.
        """
        words = ("--job", str(self.directory.root), *arguments)
        if processes == 1:
            command = job_command("train", words)
        else:
            command = job_command("train_together", (str(processes), *words))
        with _locked(self.directory, self.record.name) as lock:
            with storage_errors(self.directory.failure):
                self.directory.failure.unlink(missing_ok=True)
            running = self.record.changed(
                status="InProgress",
                started=utc_now(),
                ended=None,
                pid=None,
                exit_code=None,
                failure_reason=None,
                command=tuple(command),
            )
            running.write(self.directory)
            end = run_program(
                command,
                started=lambda pid: running.changed(pid=pid).write(self.directory),
                inherited=(lock,),
                environment=shared_cores(processes),
            )
            if self.resumed and end.exit_code == UsageError.exit_code:
                # The program refused the changed options: the job stays what it was before them.
                self.directory.restore_hyperparameters()
                self.record.write(self.directory)
                return self.record.changed(
                    status="Failed",
                    exit_code=end.exit_code,
                    failure_reason=_failure_text(self.directory) or end.reason,
                )
            return self._finish(JobRecord.read(self.directory), end)

    def _finish(self, running: JobRecord, end: ProgramEnd) -> JobRecord:
        status: JobStatus = "Completed" if end.exit_code == 0 else "Failed"
        reason = _failure_text(self.directory) or end.reason
        if end.stopped:
            status = "Stopped"
        elif status == "Failed" and reason is None:
            reason = f"the training program ended with exit code {end.exit_code}"
        packing: ClaryError | None = None
        try:
            if (self.directory.model / DESCRIPTION_FILE).is_file():
                pack_model(self.directory.model, self.directory.archive)
        except ClaryError as error:
            packing = error
            status, reason = "Failed", str(error)
        record = running.changed(
            status=status,
            ended=utc_now(),
            exit_code=end.exit_code,
            failure_reason=None if status == "Completed" else reason,
        )
        record.write(self.directory)
        if packing is not None:
            raise packing
        return record


def is_running(directory: JobDirectory) -> bool:
    """Whether the starter or the program of a job lives: one of them holds the lock."""
    try:
        with directory.lock_file.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def _locked(directory: JobDirectory, name: str) -> Iterator[int]:
    """Hold the job. The program inherits the descriptor, so that it outlives a killed starter."""
    with storage_errors(directory.lock_file):
        handle = os.open(directory.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"the job {name} is running: wait for it, or stop it with Ctrl-C where it runs"
            ) from error
        yield handle
    finally:
        os.close(handle)


def _hyperparameters(options: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    parsed = TrainingOptions.parse(options)
    changes: dict[str, str] = {}
    if parsed.weight_path is not None:
        changes["weight_path"] = str(resolve_model(parsed.weight_path, settings))
    if parsed.weights not in {"pretrained", "none"}:
        path = Path(parsed.weights).expanduser()
        if not path.is_file():
            raise UsageError(
                f"--weights is {parsed.weights!r} but there is no such file: give pretrained, "
                "none, or a file of weights"
            )
        changes["weights"] = str(path.absolute())
    return parsed.model_copy(update=changes).to_hyperparameters()


def _check_name(name: str, settings: Settings) -> None:
    if not JOB_NAME.fullmatch(name):
        raise UsageError(
            f"--name is {name!r} but must be 1 to {JOB_NAME_LIMIT} letters, digits and inner "
            "hyphens, such as ants-and-bees-2"
        )
    taken = settings.jobs_dir / name
    if taken.exists():
        raise UsageError(
            f"there is a job {name} already: choose another --name, or go on with it by "
            f"`clary train --resume {name}`"
        )


def _made_up_name(location: str, output: Path | None, settings: Settings) -> str:
    if output is not None and JOB_NAME.fullmatch(output.name):
        taken = settings.jobs_dir / output.name
        if not taken.exists():
            return output.name
    stem = Path(location).name.split(".")[0]
    words = re.sub(r"[^a-zA-Z0-9]+", "-", stem).strip("-") or "job"
    moment = re.sub(r"[-:]", "", utc_now()[:19]).replace("T", "-")
    base = f"{words[: JOB_NAME_LIMIT - len(moment) - 5].rstrip('-')}-{moment}"
    name, number = base, 1
    while (settings.jobs_dir / name).exists():
        number += 1
        name = f"{base}-{number}"
    return name


def _list_under(link: Path, root: Path) -> None:
    """Let a job that lies elsewhere be found by its name."""
    if link == root:
        return
    with storage_errors(link):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(root)


def _failure_text(directory: JobDirectory) -> str | None:
    try:
        return directory.failure.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{directory.failure} cannot be read: {error.strerror}") from error
