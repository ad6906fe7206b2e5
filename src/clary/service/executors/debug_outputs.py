"""Where the debugger's files of a job lie, and which S3 folders get them.

output/tensors of each host       <DebugHookConfig.S3OutputPath>/<job>/debug-output/
output/tensorboard of each host   <TensorBoardOutputConfig.S3OutputPath>/<job>/tensorboard-output/
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from clary.formats.files import write_json
from clary.formats.launch import host_root
from clary.service.executors.child_programs import run_program
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.mirrors import Mirrored, folder_inside

PERIOD_S = 2.0

_TENSORS = "output/tensors"
_TENSORBOARD = "output/tensorboard"
_SEGMENTS = "statistics"
_BOARD_PROGRAM = "clary.jobs.event_files"
_END_OF_JOB = "training_job_end.ts"
# A log is made whole by one thread alone.
_completing = threading.Lock()


def tensor_folders(job: TrainingJobSpec) -> tuple[Path, ...]:
    """Where each host writes its tensors.

    Raises:
        ClaryError: DebugHookConfig names a folder outside /opt/ml.
    """
    config = job.request.get("DebugHookConfig") or {}
    return _of_hosts(job, config.get("LocalPath"), _TENSORS, "DebugHookConfig")


def output_mirrors(job: TrainingJobSpec) -> tuple[Mirrored, ...]:
    """What the job's own processes write for the debugger."""
    return (*_tensors(job), *_tensorboard(job))


def complete_tensors(job: TrainingJobSpec) -> None:
    """Make the tensors of a job that has ended whole, and say that no more will come.

    Any thread may call it, again too.

    Raises:
        ClaryError: DebugHookConfig names a folder outside /opt/ml, or a folder cannot be written.
    """
    if not job.request.get("DebugHookConfig"):
        return
    for folder in tensor_folders(job):
        with _completing:
            _seal(folder)
            marker = folder / _END_OF_JOB
            if not marker.exists():
                write_json(marker, {"job": job.name, "ended": time.time()})


def write_board(job: TrainingJobSpec) -> None:
    """Write the tensors of a job that has ended as TensorBoard's event files, if it asks for them.

    Raises:
        ClaryError: they cannot be written.
    """
    config = job.request.get("TensorBoardOutputConfig")
    if not config:
        return
    boards = _of_hosts(job, config.get("LocalPath"), _TENSORBOARD, "TensorBoardOutputConfig")
    for name, tensors, board in zip(job.host_names, tensor_folders(job), boards, strict=True):
        if (tensors / _SEGMENTS).is_dir():
            # In S3 the hosts share one folder.
            target = board if len(boards) == 1 else board / name
            what = f"TensorBoard's files of {tensors}"
            run_program(_BOARD_PROGRAM, [str(tensors), str(target)], what)


def _seal(folder: Path) -> None:
    """Make segments of what writers that were killed have left: S3 gets whole files only."""
    unfinished = [path.name for path in folder.glob(f"{_SEGMENTS}/.*")]
    if not unfinished:
        return
    # It brings numpy, which the service has no other use for.
    from clary.formats.tensor_log import TensorLogWriter
    from clary.formats.tensor_log.layout import live_of

    for worker in {found[1] for name in unfinished if (found := live_of(name)) is not None}:
        TensorLogWriter(folder, worker=worker).close()


def _tensors(job: TrainingJobSpec) -> Iterator[Mirrored]:
    config = job.request.get("DebugHookConfig")
    if config:
        uri = f"{str(config['S3OutputPath']).rstrip('/')}/{job.name}/debug-output/"
        for root, folder in zip(_roots(job), tensor_folders(job), strict=True):
            yield Mirrored(folder, uri, root / ".tensors-stored.json")


def _tensorboard(job: TrainingJobSpec) -> Iterator[Mirrored]:
    config = job.request.get("TensorBoardOutputConfig")
    if config:
        uri = f"{str(config['S3OutputPath']).rstrip('/')}/{job.name}/tensorboard-output/"
        local = config.get("LocalPath")
        folders = _of_hosts(job, local, _TENSORBOARD, "TensorBoardOutputConfig")
        for root, folder in zip(_roots(job), folders, strict=True):
            yield Mirrored(folder, uri, root / ".tensorboard-stored.json")


def _of_hosts(
    job: TrainingJobSpec, local_path: str | None, default: str, member: str
) -> tuple[Path, ...]:
    return tuple(folder_inside(root, local_path, default, member) for root in _roots(job))


def _roots(job: TrainingJobSpec) -> tuple[Path, ...]:
    return tuple(host_root(job.directory.root, name) for name in job.host_names)
