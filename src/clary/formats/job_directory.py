"""The directory of a job: the tree that SageMaker promises under `/opt/ml`.

    input/config/hyperparameters.json     str → str
    input/config/inputdataconfig.json     channel → its mode, and where its data lies
    input/config/resourceconfig.json      the hosts
    input/config/profilerconfig.json      what the profiler records, where it does
    input/data/<channel>                  the pictures: a folder, a file or a link to one
    code/                                 the user's scripts
    model/                                what becomes model.tar.gz
    checkpoints/                          what a resumed run starts from
    output/failure                        why the job failed, in one sentence
    output/progress.json                  how far the program is, while it runs
    output/data/                          what the program leaves beside the model
    output/model.tar.gz                   made from model/ when the program has ended
    output/tensors/                       what the debugger saw: `clary.formats.tensor_log`
    output/profiler/                      what the profiler saw: `clary.formats.timeline`
    rules/<rule>/                         what a rule found: `clary.formats.findings`
    rules.profiler/<rule>/                what a rule of the profiler found, and its report

What a host's process is told and tells stands beside it: `clary.formats.launch`. Format version 1;
see `docs/formats/job_directory.md`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clary.errors import FormatError
from clary.formats.files import read_json, storage_errors, write_json, write_text

FAILURE_LIMIT = 1024
TRAINING_CHANNEL = "training"
# What the service writes beside a trial's hyperparameters, and how it names one: after its tuning
# job, its number and eight hexadecimal digits. People pass the first on to trainings of their own.
TUNING_OBJECTIVE = "_tuning_objective_metric"
TRIAL_NAME = re.compile(r"-(\d{3,})-[0-9a-f]{8}$")


@dataclass(frozen=True)
class JobDirectory:
    """Paths of one job, and the small files that two processes meet in."""

    root: Path

    @property
    def config(self) -> Path:
        """Holds the three JSON files that the program reads."""
        return self.root / "input" / "config"

    @property
    def model(self) -> Path:
        """Holds what becomes `model.tar.gz`."""
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        """Holds what a resumed run starts from."""
        return self.root / "checkpoints"

    @property
    def output_data(self) -> Path:
        """Holds what the program leaves beside the model: histories, evaluations, the report."""
        return self.root / "output" / "data"

    @property
    def archive(self) -> Path:
        """The packed model."""
        return self.root / "output" / "model.tar.gz"

    @property
    def failure(self) -> Path:
        """Why the job failed, at most 1,024 characters."""
        return self.root / "output" / "failure"

    @property
    def progress_file(self) -> Path:
        """How far the program is right now: `clary.formats.run_progress`."""
        return self.root / "output" / "progress.json"

    @property
    def profiler(self) -> Path:
        """What the profiler saw of this host: its machine, and where the steps' time went."""
        return self.root / "output" / "profiler"

    @property
    def profiler_configuration(self) -> Path:
        """SageMaker's `ProfilerConfig`, where the job is profiled; replaced while it runs."""
        return self.config / "profilerconfig.json"

    @property
    def hyperparameters_file(self) -> Path:
        """The hyperparameters: a JSON object of strings."""
        return self.config / "hyperparameters.json"

    def channel(self, name: str) -> Path:
        """Where a channel's data lies."""
        return self.root / "input" / "data" / name

    def create(self) -> None:
        """Make the folders.

        Raises:
            StorageError: the root cannot be written.
        """
        with storage_errors(self.root):
            for folder in (
                self.config,
                self.root / "input" / "data",
                self.model,
                self.checkpoints,
                self.output_data,
            ):
                folder.mkdir(parents=True, exist_ok=True)

    def write_inputs(
        self, hyperparameters: Mapping[str, str], channels: Mapping[str, str | Path]
    ) -> None:
        """Write the configuration and link each channel to where its data lies.

        Args:
            hyperparameters: each value as JSON or plain text.
            channels: by name, a path, or the name of a data set that Clary knows; the text is
                kept, and a path that exists is linked.

        Raises:
            StorageError: the root cannot be written.
        """
        write_json(self.hyperparameters_file, dict(hyperparameters))
        write_json(
            self.config / "inputdataconfig.json",
            {
                name: {"TrainingInputMode": "File", "Location": str(location)}
                for name, location in channels.items()
            },
        )
        write_json(
            self.config / "resourceconfig.json",
            {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"},
        )
        for name, location in channels.items():
            link = self.channel(name)
            with storage_errors(link):
                link.unlink(missing_ok=True)
                if Path(location).exists():
                    link.symlink_to(Path(location).absolute())

    def location(self, channel: str = TRAINING_CHANNEL) -> str:
        """Where a channel's data lies, as `open_dataset` takes it: a path or a known name.

        A job that another starter prepared has no `Location`: its data lies in the channel's
        own folder.

        Raises:
            FormatError: the configuration is missing or damaged, or has no such channel.
        """
        path = self.config / "inputdataconfig.json"
        channels = read_json(path)
        if not isinstance(channels, dict) or not isinstance(channels.get(channel), dict):
            raise FormatError(f"{path} has no channel {channel!r}: start the job again")
        return str(channels[channel].get("Location") or self.channel(channel))

    def hyperparameters(self) -> dict[str, str]:
        """The hyperparameters as they were written.

        Raises:
            FormatError: the file is missing or damaged.
        """
        return _texts(self.hyperparameters_file)

    def is_trial(self) -> bool:
        """Whether a tuning job made it, and not a person.

        Raises:
            FormatError: its hyperparameters are missing or damaged.
        """
        named = TRIAL_NAME.search(self.root.name) is not None
        return named and is_trial(self.root.name, self.hyperparameters())

    def write_failure(self, reason: str) -> None:
        """Say why the job failed; what was said before stays.

        Raises:
            StorageError: the folder cannot be written.
        """
        if not self.failure.exists():
            write_text(self.failure, reason[:FAILURE_LIMIT])


def is_trial(name: str, hyperparameters: Mapping[str, str]) -> bool:
    """Whether a tuning job has made a training job, and not a person with all that a trial had.

    Args:
        name: the training job's.
        hyperparameters: its own.
    """
    return TRIAL_NAME.search(name) is not None and TUNING_OBJECTIVE in hyperparameters


def _texts(path: Path) -> dict[str, str]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise FormatError(f"{path} is not a JSON object: start the job again")
    return {str(name): str(value) for name, value in content.items()}
