"""From a model as it was created to what replicas serve, in a folder that they share.

    model/          the unpacked archive, with code/ in it; with several models a folder for each
    .layer/         an interpreter of its own, where its code asks for one
    prepared.json   `PreparedModel`, written last

Done on a worker thread, and from the beginning again when a crash came in between.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from clary.errors import ClaryError, FormatError
from clary.formats.builtin_algorithm import names_image
from clary.formats.converted_model import ConvertedModel, ConvertedPrecision
from clary.formats.files import storage_errors
from clary.formats.model_archive import DESCRIPTION_FILE, unpack_model
from clary.formats.replica import Kind, Precision
from clary.service.executors.child_programs import run_program
from clary.service.executors.objects import located_objects, object_file
from clary.service.executors.requirements import Requirements
from clary.service.executors.served_models import MODEL, ModelSource, PreparedModel
from clary.service.executors.source_code import bring_code
from clary.settings import Settings

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

CODE = "code"
PROGRAM = "SAGEMAKER_PROGRAM"
SUBMIT_DIRECTORY = "SAGEMAKER_SUBMIT_DIRECTORY"
PRECISION = "CLARY_PRECISION"
_OWN_HANDLERS = "inference.py"
_OWN_LAYER = ".layer"


class Preparation:
    """Prepares models. Thread-safe for different folders.

    Args:
        settings: whose cache keeps converted networks.
        store: the buckets.
        requirements: makes interpreters.
    """

    def __init__(self, settings: Settings, store: ObjectStore, requirements: Requirements) -> None:
        self._settings = settings
        self._store = store
        self._requirements = requirements

    def prepare(self, source: ModelSource, folder: Path) -> PreparedModel:
        """Make what replicas of a model need; what was made before is found.

        Raises:
            ClaryError: data, code or interpreter cannot be had; the sentence says why.
            StorageError: the folder cannot be written.
        """
        known = PreparedModel.read(folder)
        model = folder / MODEL
        # A folder of that name may have been an earlier endpoint's.
        if known is not None and known.identity == source.identity and model.is_dir():
            if self._is_whole(known):
                return known
            return self._finish(source, folder, again=True)
        with storage_errors(folder):
            shutil.rmtree(folder, ignore_errors=True)
            model.mkdir(parents=True)
        if not source.multi_model:
            self._bring_model(source, model)
        return self._finish(source, folder, again=False)

    def _finish(self, source: ModelSource, folder: Path, *, again: bool) -> PreparedModel:
        """Make what is not in the archive; `again` where the cache has lost it since."""
        model = folder / MODEL
        if source.multi_model:
            kind: Kind = "pictures" if names_image(_image(source.container)) else "script"
            prepared = PreparedModel(
                identity=source.identity, kind=kind, model=model, multi_model=True
            )
        else:
            prepared = self._of_one_model(source, folder, again=again)
        prepared = prepared.model_copy(
            update={"environment": source.asked, "precision": _precision(source)}
        )
        prepared.write(folder)
        return prepared

    def bring_one(self, source: ModelSource, target: str, folder: Path) -> None:
        """Fetch one of the models of a multi-model container into a folder.

        Args:
            source: the container.
            target: the archive's key under ModelDataUrl, as TargetModel says.
            folder: where it goes; it is empty.

        Raises:
            ClaryError: there is no such archive, or it cannot be unpacked or served.
        """
        uri = str(source.container.get("ModelDataUrl") or _prefix(source.container))
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        key = "/".join(part for part in (prefix.rstrip("/"), target.lstrip("/")) if part)
        missing = (
            f"Failed to download model data(bucket: {bucket}, key: {key}). Please ensure that "
            "there is an object located at the URL."
        )
        self._unpack(f"s3://{bucket}/{key}", source, folder, missing)
        if names_image(_image(source.container)):
            self._convert(source, folder)

    def cancel(self, identity: str) -> None:
        """End what is being installed for a model, and install nothing more for it."""
        self._requirements.cancel(identity)

    def forget(self, identity: str) -> None:
        """What was prepared is gone, and with it that it was cancelled."""
        self._requirements.forget(identity)

    def _bring_model(self, source: ModelSource, model: Path) -> None:
        uri = source.container.get("ModelDataUrl")
        data = (source.container.get("ModelDataSource") or {}).get("S3DataSource")
        if uri:
            self._unpack(str(uri), source, model)
        elif data and data.get("CompressionType") == "Gzip":
            self._unpack(str(data["S3Uri"]), source, model)
        elif data:
            for found in located_objects(self._store, {"S3Uri": data["S3Uri"]}, source):
                target = model / found.name
                with storage_errors(target):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(found.path, target)

    def _unpack(
        self, uri: str, source: ModelSource, folder: Path, missing: str | None = None
    ) -> None:
        try:
            archive = object_file(self._store, uri, source)
        except ClaryError as error:
            raise ClaryError(missing or f"Could not find model data at {uri}.") from error
        try:
            unpack_model(archive, folder)
        except FormatError as error:
            # What the archive says of itself, without where it lies on this machine.
            why = error.__cause__ or str(error).replace(str(archive), "it")
            raise ClaryError(
                f'Failed to extract model data archive from URL "{uri}". Please ensure that the '
                f"object located at the URL is a valid tar.gz archive ({why})."
            ) from error

    def _is_whole(self, known: PreparedModel) -> bool:
        """Whether the cache still holds what was made for it."""
        if known.python is not None and not Path(known.python).exists():
            return False
        precision: ConvertedPrecision = "int8" if known.precision == "int8" else "fp32"
        return known.converted is None or ConvertedModel(known.converted).has(precision)

    def _of_one_model(self, source: ModelSource, folder: Path, *, again: bool) -> PreparedModel:
        model = folder / MODEL
        if _is_picture_model(source, model):
            return PreparedModel(
                identity=source.identity,
                kind="pictures",
                model=model,
                converted=self._convert(source, model),
            )
        code = model / CODE
        submitted = source.asked.get(SUBMIT_DIRECTORY, "")
        if submitted.startswith("s3://") and not again:
            bring_code(self._store, submitted, source, code)
        python = None
        if code.is_dir():
            python = self._requirements.python_for(source.identity, code, folder / _OWN_LAYER)
        own = python is None or python == sys.executable
        return PreparedModel(
            identity=source.identity,
            kind="script",
            model=model,
            python=None if own else python,
        )

    def _convert(self, source: ModelSource, model: Path) -> Path | None:
        """Where the networks of a model of Clary's lie ready; a GPU is served from the model."""
        if not (model / DESCRIPTION_FILE).is_file():
            raise ClaryError(
                f"the model of {_image(source.container)} has no {DESCRIPTION_FILE}: this image "
                "serves models that Clary has trained; give another image for your own handlers"
            )
        if source.on_gpu:
            return None
        converted = ConvertedModel.of(model, self._settings.cache_dir)
        if _precision(source) == "int8":
            if not converted.has("int8"):
                raise ClaryError(
                    f"the model was not calibrated for int8, which {PRECISION} asks for: deploy it "
                    "with `clary deploy MODEL --precision int8 --calibrate PICTURES`"
                )
        elif not converted.has("fp32"):
            run_program(
                "clary.jobs.convert", [str(model)], "the networks to serve", self._settings.home
            )
        return converted.folder


def _is_picture_model(source: ModelSource, model: Path) -> bool:
    """Whether Clary's own server answers: by its image, or by handlers that are Clary's, untouched.

    Handlers that somebody has put in their place, or names besides, are somebody's own.
    """
    if names_image(_image(source.container)):
        return True
    asked = source.asked
    if asked.get(SUBMIT_DIRECTORY, "").startswith("s3://"):
        return False
    if asked.get(PROGRAM, _OWN_HANDLERS) != _OWN_HANDLERS:
        return False
    handlers = model / CODE / _OWN_HANDLERS
    if not ((model / DESCRIPTION_FILE).is_file() and handlers.is_file()):
        return False
    return handlers.read_bytes() == _template().read_bytes()


def _template() -> Path:
    """The handlers that every model of Clary's brings; found without importing them."""
    package = find_spec("clary")
    assert package is not None and package.origin is not None
    return Path(package.origin).parent / "vision/export/serving_template" / _OWN_HANDLERS


def _image(container: Mapping[str, Any]) -> str:
    return str(container.get("Image") or "")


def _prefix(container: Mapping[str, Any]) -> str:
    return str((container.get("ModelDataSource") or {}).get("S3DataSource", {}).get("S3Uri", ""))


def _precision(source: ModelSource) -> Precision:
    asked = source.asked.get(PRECISION) or "auto"
    for known in get_args(Precision):
        if asked == known:
            precision: Precision = known
            return precision
    raise ClaryError(f"{PRECISION} is {asked!r}: set it to {', '.join(get_args(Precision))}")
