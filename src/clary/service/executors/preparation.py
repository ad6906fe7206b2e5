"""From a request to what every host is told: directories, data, code, environment, launch files.

Done on a worker thread, and from the beginning again when a crash came in between; the launch
files are written last.
"""

from __future__ import annotations

import shutil
import socket
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clary.cores import usable_cores
from clary.errors import ClaryError
from clary.formats.files import storage_errors
from clary.formats.job_directory import TRAINING_CHANNEL
from clary.formats.launch import Isolation
from clary.gpus import count_gpus
from clary.service.executors.channels import HostChannels, place_channels
from clary.service.executors.checkpoints import Checkpoints, local_folder
from clary.service.executors.configuration import write_configuration
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.launches import make_launch
from clary.service.executors.ownership import take_folder
from clary.service.executors.places import HostPlace, host_places
from clary.service.executors.programs import Kind, Machine, program_kind
from clary.service.executors.requirements import Requirements
from clary.service.executors.script_mode import (
    PROGRAM,
    SUBMIT_DIRECTORY,
    decoded_hyperparameters,
)
from clary.service.executors.source_code import bring_code, require_program

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

# The built-in algorithm's data where there is no channel: a name that Clary knows.
DATASET = "dataset"
_OWN_LAYER = ".layer"


class Preparation:
    """Prepares jobs. Thread-safe for different jobs."""

    def __init__(
        self,
        store: ObjectStore,
        requirements: Requirements,
        checkpoints: Checkpoints,
        isolation: Callable[[], Isolation],
    ) -> None:
        self._store = store
        self._requirements = requirements
        self._checkpoints = checkpoints
        self._isolation = isolation

    def prepare(self, job: TrainingJobSpec, say: Callable[[str], None]) -> None:
        """Make everything that the hosts of a job need.

        Raises:
            ClaryError: data, code or environment cannot be had.
        """
        kind = program_kind(job)
        # Clary's own program takes real paths, and finds the same caches in every job.
        isolation: Isolation = "none" if kind == "built-in" else self._isolation()
        hosts = host_places(job, isolation)
        take_folder(job)
        for host in hosts:
            host.directory.create()
            if len(hosts) > 1:  # SM_OUTPUT_DATA_DIR
                with storage_errors(host.directory.output_data):
                    (host.directory.output_data / host.name).mkdir(exist_ok=True)
        with storage_errors(job.directory.root):
            hosts[0].log.parent.mkdir(exist_ok=True)
        self._bring_checkpoints(job, hosts)
        if job.request.get("InputDataConfig"):
            say("Downloading input data")
        channels = place_channels(job, hosts, self._store, only_reads=kind == "built-in")
        machine = Machine(usable_cores(), count_gpus(), _free_port())
        token = uuid.uuid4().hex
        for host, placed in zip(hosts, channels, strict=True):
            python = self._bring_code(job, host, kind, say)
            self._configure(job, host, kind, placed)
            launch = make_launch(job, host, placed, machine, python=python, token=token)
            launch.write(host.files)

    def _bring_checkpoints(self, job: TrainingJobSpec, hosts: Sequence[HostPlace]) -> None:
        """All hosts share one folder: S3 has no part of it per host either."""
        shared = [job.directory.checkpoints]
        if job.request.get("CheckpointConfig"):
            shared.append(local_folder(job))
            with storage_errors(shared[-1]):
                shared[-1].mkdir(parents=True, exist_ok=True)
            self._checkpoints.bring(job)
        for host in hosts[1:]:
            for folder in shared:
                _share(folder, host.root / folder.relative_to(job.directory.root))

    def _bring_code(
        self, job: TrainingJobSpec, host: HostPlace, kind: Kind, say: Callable[[str], None]
    ) -> str:
        """Returns the interpreter that has what the code requires."""
        own_layer = job.directory.root / _OWN_LAYER
        if kind == "entry point":
            return self._requirements.empty_layer(job.identity, own_layer)
        if kind == "built-in":
            return sys.executable
        hyperparameters = decoded_hyperparameters(job.request["HyperParameters"])
        code = host.directory.root / "code"
        uri = hyperparameters.get(SUBMIT_DIRECTORY)
        if not uri:
            raise ClaryError(
                f"the hyperparameter {SUBMIT_DIRECTORY} is missing: it names the archive that "
                f"holds {hyperparameters[PROGRAM]}"
            )
        if host.number == 0:
            say("Downloading the training image")
        bring_code(self._store, str(uri), job, code)
        require_program(code, str(hyperparameters[PROGRAM]))
        return self._requirements.python_for(job.identity, code, own_layer)

    def _configure(
        self, job: TrainingJobSpec, host: HostPlace, kind: Kind, placed: HostChannels
    ) -> None:
        texts: Mapping[str, str] = job.request.get("HyperParameters") or {}
        channels = dict(placed.config)
        if kind == "built-in":
            channels[TRAINING_CHANNEL] = {
                **channels.get(TRAINING_CHANNEL, {"TrainingInputMode": "File"}),
                "Location": _built_in_data(job, placed),
            }
        write_configuration(job, host, texts, channels)


def _share(folder: Path, own: Path) -> None:
    """Let `own` be `folder`, unless it is so already by a link further up."""
    with storage_errors(own):
        if own.exists() and own.samefile(folder):
            return
        if own.exists():
            shutil.rmtree(own)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.symlink_to(folder)


def _built_in_data(job: TrainingJobSpec, placed: HostChannels) -> str:
    """What the built-in algorithm trains on: a folder, a file, or a name that Clary knows.

    Channels such as `train` and `validation` are the splits of one data set.
    """
    folders = placed.folders
    if not folders:
        known = (job.request.get("HyperParameters") or {}).get(DATASET)
        if not known:
            raise ClaryError(
                "the job has no data: give a channel, or the hyperparameter "
                f"{DATASET} with a name that Clary knows, such as digits"
            )
        return str(decoded_hyperparameters({DATASET: known})[DATASET])
    if len(folders) == 1:
        return str(next(iter(folders.values())))
    together = job.directory.root / "input" / "splits"
    with storage_errors(together):
        shutil.rmtree(together, ignore_errors=True)
        together.mkdir(parents=True)
        for name, folder in folders.items():
            (together / name).symlink_to(folder)
    return str(together)


def _free_port() -> int:
    """Where the hosts of one job meet; several jobs share the machine's loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
