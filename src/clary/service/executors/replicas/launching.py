"""What one replica is told: `replica.json` for its server, `.launch.json` for its host."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from clary.cores import usable_cores
from clary.formats.files import storage_errors
from clary.formats.launch import (
    BASE,
    FIRST_HOST,
    HostFiles,
    InProcess,
    Isolation,
    Launch,
    Mount,
    host_log,
)
from clary.formats.replica import ReplicaSettings
from clary.service.executors.replica_executor import ReplicaSpec
from clary.service.executors.replicas.preparation import CODE, SUBMIT_DIRECTORY
from clary.service.executors.served_models import MODEL
from clary.service.executors.surroundings import host_environment, wants_fresh_interpreter

SERVER = "clary.jobs.serve"
_MODELS = "models"


def write_launch(
    spec: ReplicaSpec, isolation: Isolation, *, module: str = SERVER
) -> tuple[HostFiles, bool]:
    """Make the folder of a replica and write what it is told.

    Args:
        spec: the replica.
        isolation: what this system allows.
        module: the program, which gets the folder as its argument.

    Returns:
        Its files, and whether it may be a fork of the warm parent: up in a fifth of the time, and
        with less memory of its own.

    Raises:
        StorageError: the folder cannot be written.
    """
    prepared = spec.prepared
    # Clary's own server takes real paths.
    isolation = "none" if prepared.kind == "pictures" else isolation
    base = spec.folder if isolation == "none" else Path(BASE)
    name = _MODELS if prepared.multi_model else MODEL
    with storage_errors(spec.folder):
        host_log(spec.folder, FIRST_HOST).parent.mkdir(parents=True, exist_ok=True)
        if isolation == "none":
            (spec.folder / name).unlink(missing_ok=True)
            (spec.folder / name).symlink_to(prepared.model)
        else:
            (spec.folder / name).mkdir(exist_ok=True)
    replica_settings(spec, str(base / name)).write(spec.folder)
    token = uuid.uuid4().hex
    environment = _environment(spec, isolation, base, token)
    command = (sys.executable, "-m", module, str(base))
    fresh = isolation == "bubblewrap" or wants_fresh_interpreter(prepared.environment)
    threads = usable_cores()
    files = HostFiles(spec.folder)
    Launch(
        job=spec.endpoint,
        host=FIRST_HOST,
        root=str(spec.folder),
        base=str(base),
        log=str(host_log(spec.folder, FIRST_HOST)),
        isolation=isolation,
        command=command,
        working_directory="/" if isolation != "none" else str(spec.folder),
        environment=environment,
        token=token,
        mounts=() if isolation == "none" else (Mount(str(prepared.model), str(base / name)),),
        in_process=None if fresh else InProcess(None, module, (str(base),), (), threads),
        notes=tuple(_notes(spec, isolation)),
    ).write(files)
    return files, not fresh


def replica_settings(spec: ReplicaSpec, model: str) -> ReplicaSettings:
    """What the server is told; the container's Environment may say otherwise of some of it.

    Args:
        spec: the replica.
        model: the model folder as its processes see it.
    """
    prepared = spec.prepared
    asked = prepared.environment
    return ReplicaSettings(
        endpoint=spec.endpoint,
        variant=spec.variant,
        instance=spec.instance,
        kind=prepared.kind,
        model=model,
        converted=None if prepared.converted is None else str(prepared.converted),
        multi_model=prepared.multi_model,
        precision=prepared.precision,
        python=prepared.python,
        max_body_bytes=spec.max_body_bytes,
        deadline_s=spec.deadline_s,
        allow_urls=asked.get("CLARY_ALLOW_URLS", "").lower() in {"1", "true"},
    )


def _environment(spec: ReplicaSpec, isolation: Isolation, base: Path, token: str) -> dict[str, str]:
    prepared = spec.prepared
    told = {"CLARY_LAUNCH": token, "CLARY_INSTANCE": spec.instance}
    if (prepared.model / CODE).is_dir():
        told[SUBMIT_DIRECTORY] = str(base / MODEL / CODE)
    if prepared.multi_model:
        told["SAGEMAKER_MULTI_MODEL"] = "true"
    if isolation == "none":
        told["SAGEMAKER_BASE_DIR"] = str(base)
    told["CUDA_VISIBLE_DEVICES"] = "" if spec.gpu is None else str(spec.gpu)
    environment = host_environment(
        prepared.environment, spec.environment, prepared.python or sys.executable, told
    )
    environment["PYTHONSAFEPATH"] = "1"
    return environment


def _notes(spec: ReplicaSpec, isolation: Isolation) -> Iterator[str]:
    if isolation == "none" and spec.prepared.kind == "script":
        yield (
            f"clary: this system allows no private {BASE}: everything lies in {spec.folder}, as "
            "SAGEMAKER_BASE_DIR says"
        )
