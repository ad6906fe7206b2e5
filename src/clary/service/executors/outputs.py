"""What a job leaves behind: `model.tar.gz` and `output.tar.gz`, or plain trees.

The same files give the same archive (`clary.formats.tar_gz`). Of several hosts the files are put
together; where two have a name in common, the first host's counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clary.formats.files import storage_errors
from clary.formats.job_directory import JobDirectory
from clary.formats.tar_gz import pack_files
from clary.service.executors.executor import Artifacts, TrainingJobSpec
from clary.service.executors.places import HostPlace, split_uri

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore


def upload_outputs(
    job: TrainingJobSpec, hosts: Sequence[HostPlace], store: ObjectStore
) -> Artifacts:
    """Put model and output under `<S3OutputPath>/<job>/output/`.

    Raises:
        ClaryError: they cannot be packed or stored.
    """
    output = job.request["OutputDataConfig"]
    prefix = f"{str(output['S3OutputPath']).rstrip('/')}/{job.name}/output/"
    plain = output.get("CompressionType") == "NONE"
    models = _gathered([host.directory.model for host in hosts])
    data = _gathered([host.directory.output_data for host in hosts])
    if plain:
        return Artifacts(
            _upload_tree(store, models, prefix + "model/"),
            _upload_tree(store, data, prefix + "data/"),
        )
    directory = JobDirectory(job.directory.root)
    return Artifacts(
        _upload_archive(store, models, directory.archive, prefix + "model.tar.gz"),
        _upload_archive(
            store, data, directory.archive.with_name("output.tar.gz"), prefix + "output.tar.gz"
        ),
    )


def _gathered(folders: Sequence[Path]) -> dict[str, Path]:
    """All files and links of some folders by their relative names; sockets and pipes are not."""
    found: dict[str, Path] = {}
    for folder in reversed(folders):
        for path in folder.rglob("*") if folder.is_dir() else ():
            if path.is_symlink() or path.is_file():
                found[path.relative_to(folder).as_posix()] = path
    return found


def _upload_archive(
    store: ObjectStore, files: Mapping[str, Path], archive: Path, uri: str
) -> str | None:
    if not files:
        return None
    pack_files(files, archive)
    bucket, key = split_uri(uri)
    store.adopt(bucket, key, archive)
    return uri


def _upload_tree(store: ObjectStore, files: Mapping[str, Path], uri: str) -> str | None:
    bucket, prefix = split_uri(uri)
    for name in sorted(files):
        if files[name].is_file():
            with storage_errors(files[name]):
                store.put(bucket, prefix + name, files[name])
    return uri if files else None
