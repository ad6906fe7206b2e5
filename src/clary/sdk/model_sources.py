"""A model that a person names, brought to where an endpoint finds it: an archive in S3."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from clary.errors import UsageError
from clary.formats.builtin_algorithm import IMAGE, names_image
from clary.formats.files import storage_errors
from clary.formats.model_archive import DESCRIPTION_FILE, opened_model, pack_model
from clary.sdk.locations import resolve_model
from clary.sdk.session import Session, spoken_faults
from clary.sdk.storage import split_uri, upload
from clary.sdk.training_job import TrainingJob
from clary.settings import Settings

# Stands for SageMaker's own images: what runs is the Python that is here.
SCRIPT_IMAGE = "clary/pytorch-inference"
HANDLERS = Path("code") / "inference.py"
_WEIGHTS = (".pt", ".pth")
_GZIP = b"\x1f\x8b"
_OWN_HANDLERS = Path(__file__).parents[1] / "vision/export/serving_template/inference.py"
_BLOCK_BYTES = 1 << 20
_FINGERPRINT_LENGTH = 8
_TIME = re.compile(r"-\d{8}-\d{6}(-\d{3})?$")


class ModelSource(NamedTuple):
    """An archive in S3, the image that serves it, and a word for it."""

    uri: str
    image: str
    stem: str


def bring(session: Session, model: str | Path | TrainingJob) -> ModelSource:
    """Find a model's archive in S3; a folder or a file of this machine is copied there.

    Args:
        session: of the account.
        model: a job or its name, `latest`, a model folder, a `model.tar.gz`, or an S3 URI of one.

    Raises:
        UsageError: there is no such model, or no job with one.
        FormatError: the archive is damaged.
        StorageError: the archive cannot be written.
        ServiceError: the service refuses or does not answer.
    """
    if isinstance(model, TrainingJob):
        return _of_job(model)
    text = str(model)
    if text.startswith("s3://"):
        split_uri(text)
        stem = text.rstrip("/").rpartition("/")[2].removesuffix(".tar.gz")
        return ModelSource(text, SCRIPT_IMAGE, stem)
    settings = session.settings or Settings.from_environment()
    location = resolve_model(text, settings)
    name = job_of(location, settings)
    if name is not None and session.settings is not None:
        try:
            return _of_job(TrainingJob(session, name))
        except UsageError:
            pass  # a folder laid out like a job's, which the service has not run
    return _uploaded(session, location, _word_for(location, settings))


def job_of(location: Path, settings: Settings) -> str | None:
    """The name of the job whose model lies there; None where it belongs to none of this home."""
    try:
        return location.relative_to(settings.jobs_dir).parts[0]
    except (ValueError, IndexError):
        return None


def is_clarys(folder: Path) -> bool:
    """Whether a model folder is a model of Clary's whose handlers nobody has changed: it is
    served without them.
    """
    if not (folder / DESCRIPTION_FILE).is_file():
        return False
    handlers = folder / HANDLERS
    return not handlers.exists() or handlers.read_bytes() == _OWN_HANDLERS.read_bytes()


@contextmanager
def opened_servable(location: Path) -> Iterator[Path]:
    """Give the folder of a model that can be served; that of an archive is temporary.

    Raises:
        UsageError: it holds nothing that could be served, or the file is no archive.
        FormatError: the archive is damaged.
        StorageError: the archive cannot be unpacked.
    """
    if location.is_file():
        with storage_errors(location), location.open("rb") as file:
            if file.read(len(_GZIP)) != _GZIP:
                raise UsageError(
                    f"{location} is no archive: give a job's name, a model folder or a model.tar.gz"
                )
    with opened_model(location) as folder:
        if not _servable(folder):
            raise UsageError(
                f"{location} holds no model, neither {DESCRIPTION_FILE}, {HANDLERS} nor a "
                f"{' or '.join(_WEIGHTS)} file: `clary train` makes one of a folder of pictures"
            )
        yield folder


def _servable(folder: Path) -> bool:
    """Whether a folder may be a model: other scripts than the usual one can be asked for."""
    if (folder / DESCRIPTION_FILE).is_file() or any((folder / HANDLERS).parent.glob("*.py")):
        return True
    return any(path.suffix in _WEIGHTS and path.is_file() for path in folder.iterdir())


def without_time(name: str) -> str:
    """`photos` of `photos-20261121-092159`: the time tells jobs apart, an endpoint outlives it."""
    return _TIME.sub("", name) or name


def _of_job(job: TrainingJob) -> ModelSource:
    found = job.description()
    if found.model_artifacts is None:
        raise UsageError(f"the job {job.name} has no model: wait for its end")
    specification = found.raw.get("AlgorithmSpecification") or {}
    trained_by = str(specification.get("TrainingImage") or specification.get("AlgorithmName") or "")
    image = IMAGE if names_image(trained_by) else SCRIPT_IMAGE
    return ModelSource(found.model_artifacts, image, without_time(job.name))


def _uploaded(session: Session, location: Path, stem: str) -> ModelSource:
    with _archive(location) as (archive, folder):
        image = IMAGE if is_clarys(folder) else SCRIPT_IMAGE
        # The same model has the same place, however often it is deployed.
        words = re.sub(r"[^a-zA-Z0-9]+", "-", stem).strip("-")
        name = f"{words or 'model'}-{_fingerprint(archive)}"
        destination = f"s3://{session.default_bucket}/{name}/model.tar.gz"
        with spoken_faults():
            uri, _ = upload(session, archive, destination)
    return ModelSource(uri, image, without_time(stem))


def _fingerprint(archive: Path) -> str:
    digest = hashlib.sha256()
    with storage_errors(archive), archive.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()[:_FINGERPRINT_LENGTH]


@contextmanager
def _archive(location: Path) -> Iterator[tuple[Path, Path]]:
    """A model as an archive and as a folder, whichever of them it is."""
    with opened_servable(location) as folder:
        if location.is_file():
            yield location, folder
            return
        with TemporaryDirectory(prefix="clary-model-") as scratch:
            archive = Path(scratch) / "model.tar.gz"
            pack_model(folder, archive)
            yield archive, folder


def stem_of(location: Path, settings: Settings) -> str:
    """What an endpoint of a model of this machine is called after."""
    return without_time(_word_for(location, settings))


def _word_for(location: Path, settings: Settings) -> str:
    """What a model is called: its job, its file, or the folder around one that has no name."""
    job = job_of(location, settings)
    if job is not None:
        return job
    name = location.name.removesuffix(".gz").removesuffix(".tar").removesuffix(".tgz")
    nameless = {"model", "output", ""}
    while name in nameless and location.parent != location:
        location = location.parent
        name = location.name
    return name or "model"
