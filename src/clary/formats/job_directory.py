"""The directory of a job: the tree that SageMaker promises under `/opt/ml`.

    input/config/hyperparameters.json     str → str
    input/config/inputdataconfig.json     channel → its content type and mode
    input/config/resourceconfig.json      the hosts
    input/data/<channel>                  the pictures: a folder, a file or a link to one
    code/                                 the user's scripts
    model/                                what becomes model.tar.gz
    checkpoints/                          what a resumed run starts from
    output/failure                        why the job failed, in one sentence
    output/data/                          what the program leaves beside the model
    output/model.tar.gz                   made from model/ when the program has ended

Beside it, of Clary's own: `job.json` (who started what, and its status) written by the starter
alone. Format version 1; see `docs/formats/job_directory.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.formats.files import read_json, storage_errors, write_json, write_text

VERSION = 1
FAILURE_LIMIT = 1024


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
    def job_file(self) -> Path:
        """Who started what, and its status; written by the starter alone."""
        return self.root / "job.json"

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
        self, hyperparameters: Mapping[str, str], channels: Mapping[str, Path]
    ) -> None:
        """Write the configuration and link each channel to where its data lies.

        Raises:
            StorageError: the root cannot be written.
        """
        write_json(self.config / "hyperparameters.json", dict(hyperparameters))
        write_json(
            self.config / "inputdataconfig.json",
            {name: {"TrainingInputMode": "File"} for name in channels},
        )
        write_json(
            self.config / "resourceconfig.json",
            {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"},
        )
        for name, location in channels.items():
            link = self.channel(name)
            with storage_errors(link):
                link.unlink(missing_ok=True)
                link.symlink_to(location.absolute())

    def hyperparameters(self) -> dict[str, str]:
        """The hyperparameters as they were written.

        Raises:
            FormatError: the file is missing or damaged.
        """
        return {str(k): str(v) for k, v in read_json(self.config / "hyperparameters.json").items()}

    def write_failure(self, reason: str) -> None:
        """Say why the job failed; what was said before stays.

        Raises:
            StorageError: the folder cannot be written.
        """
        if not self.failure.exists():
            write_text(self.failure, reason[:FAILURE_LIMIT])

    def write_job(self, record: Mapping[str, Any]) -> None:
        """Replace `job.json`.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_json(self.job_file, {"version": VERSION, **record})

    def job(self) -> dict[str, Any]:
        """What `job.json` says.

        Raises:
            FormatError: the file is missing or damaged.
        """
        return dict(read_json(self.job_file))
