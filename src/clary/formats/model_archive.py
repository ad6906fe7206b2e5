"""A trained model as a folder, and the folder as `model.tar.gz` in SageMaker's layout.

    model.safetensors       the weights, named as `clary.vision.models.Classifier` names them
    model.json              `ModelDescription`: architecture, classes, preprocessing, provenance
    code/inference.py       the handlers that also serve it on AWS
    code/requirements.txt   what they need there

Format version 1; see `docs/formats/model_archive.md`.
"""

from __future__ import annotations

import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clary.errors import FormatError, StorageError
from clary.formats.files import storage_errors, write_text
from clary.formats.job_directory import JobDirectory
from clary.formats.preprocessing import Preprocessing
from clary.formats.records import read_record
from clary.formats.tar_gz import pack_files

VERSION = 1
# The largest networks that timm knows take 10 GB. A small archive can announce any size.
MAX_UNPACKED_BYTES = 20 << 30
WEIGHTS_FILE = "model.safetensors"
DESCRIPTION_FILE = "model.json"


Stem = Literal["standard", "small"]


class Architecture(BaseModel):
    """What has to be built before the weights can be loaded.

    `stem` "small" is a ResNet's first convolution as 3×3 with stride 1, without pooling.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    stem: Stem = "standard"


class ModelDescription(BaseModel):
    """Everything about a model but its weights.

    `temperature` divides the logits before the softmax. `metrics` holds the figures of each
    split, `provenance` where the model comes from: Clary's version, the data set, the options,
    the source of the first weights, the time, in UTC.
    """

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    architecture: Architecture
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    temperature: float = Field(1.0, gt=0)
    metrics: dict[str, Any] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write `model.json` into a model folder.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_text(folder / DESCRIPTION_FILE, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> ModelDescription:
        """Read `model.json` of a model folder.

        Raises:
            FormatError: it is missing, damaged, or of a later version.
        """
        path = folder / DESCRIPTION_FILE
        return read_record(cls, path, VERSION, "the description of a model")


def pack_model(folder: Path, archive: Path) -> None:
    """Pack a model folder as a `.tar.gz`, atomically and streaming.

    The same files give the same bytes: names are sorted; times, owners and modes are fixed.

    Raises:
        FormatError: the folder holds no file.
        StorageError: the archive cannot be written, or the disk is full.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not _unfinished(path))
    if not paths:
        raise FormatError(f"{folder} holds no model to pack: it is empty")
    # What links lead to is packed: links are not unpacked.
    pack_files({path.relative_to(folder).as_posix(): path.resolve() for path in paths}, archive)


def unpack_model(archive: Path, folder: Path) -> None:
    """Unpack a `.tar.gz` into a folder, admitting nothing but plain files inside it.

    Raises:
        FormatError: the archive is missing or damaged, holds a link or a path that leaves the
            folder, or would take more than `MAX_UNPACKED_BYTES`.
        StorageError: the folder cannot be written, or the disk has too little room.
    """
    total = 0
    try:
        with tarfile.open(archive, mode="r|gz") as tar:
            for member in tar:
                total += member.size
                _require_room(total, member.size, folder, archive)
                _unpack_member(tar, member, folder, archive)
    except FileNotFoundError as error:
        raise FormatError(
            f"there is no model archive {archive}: give the path of a model.tar.gz"
        ) from error
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise FormatError(
            f"the model archive {archive} cannot be unpacked ({error}): it may be damaged, "
            "copy or pack it again"
        ) from error


@contextmanager
def opened_model(location: Path) -> Iterator[Path]:
    """Give the folder of a model; that of an archive is temporary.

    Raises:
        FormatError: there is no model, or the archive is damaged.
        StorageError: the archive cannot be unpacked.
    """
    if location.is_dir():
        yield location
        return
    if not location.exists():
        raise FormatError(f"there is no model at {location}: give a model folder or model.tar.gz")
    with TemporaryDirectory(prefix="clary-model-") as folder:
        unpack_model(location, Path(folder))
        yield Path(folder)


def locate_model(text: str, jobs_dir: Path) -> Path:
    """Where the model is that a person named.

    Args:
        text: a model folder, a `model.tar.gz`, a job directory, or a job's name.
        jobs_dir: holds a directory per job.

    Returns:
        A model folder or an archive.

    Raises:
        FormatError: there is no such thing, or the job has no model yet.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return path
    root = path if path.is_dir() else jobs_dir / text
    if not text or not root.is_dir():
        raise FormatError(
            f"there is no model {text!r}: give a model folder, a model.tar.gz, a job directory, or "
            f"the name of a job in {jobs_dir}"
        )
    if (root / DESCRIPTION_FILE).is_file():
        return root
    job = JobDirectory(root)
    if (job.model / DESCRIPTION_FILE).is_file():
        return job.model
    if job.archive.is_file():
        return job.archive
    raise FormatError(
        f"{root} holds no model: it has neither {DESCRIPTION_FILE} nor model/{DESCRIPTION_FILE} "
        "nor output/model.tar.gz; has the training ended?"
    )


def _unfinished(path: Path) -> bool:
    return path.name.startswith(".") and path.suffix == ".tmp"


def _require_room(total: int, following: int, folder: Path, archive: Path) -> None:
    if total > MAX_UNPACKED_BYTES:
        raise FormatError(
            f"{archive} holds {total:,} bytes or more unpacked, over the bound of "
            f"{MAX_UNPACKED_BYTES:,}: it is no model of Clary's"
        )
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if following > free:
        raise StorageError(
            f"{archive} cannot be unpacked into {folder}: {following:,} bytes follow but "
            f"{free:,} are free; free some space"
        )


def _unpack_member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, archive: Path
) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or not name.parts:
        if member.isdir() and not name.parts:
            return
        raise FormatError(f"{archive} holds {member.name!r}, which leaves its folder: don't use it")
    if member.isdir():
        return
    source = tar.extractfile(member) if member.isreg() else None
    if source is None:
        raise FormatError(
            f"{archive} holds {member.name!r}, which is no plain file: pack the model again"
        )
    target = folder.joinpath(*name.parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    except OSError as error:
        if error.errno is None:  # gzip's own complaint about the archive
            raise
        with storage_errors(target):
            raise
