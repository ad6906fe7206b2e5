"""Saves a classifier as a model folder, and loads one from a folder or a `model.tar.gz`."""

from __future__ import annotations

import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from clary.errors import FormatError, ModelError
from clary.formats.files import replacing, storage_errors
from clary.formats.model_archive import (
    DESCRIPTION_FILE,
    VERSION,
    WEIGHTS_FILE,
    ModelDescription,
    opened_model,
)
from clary.vision.models.architectures import build_backbone, require_known
from clary.vision.models.classifier import Classifier, build_head, feature_count
from clary.vision.models.weight_files import StateDict
from clary.vision.tensor_files import save_tensors

SERVING_CODE = Path(__file__).parents[1] / "export" / "serving_template"
_SERVING_FILES = ("inference.py", "requirements.txt")


def save_model(folder: Path, classifier: Classifier, description: ModelDescription) -> None:
    """Write weights, `model.json` and the serving code; each file atomically, `model.json` last.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    tensors = {
        name: value.detach().to("cpu").contiguous()
        for name, value in classifier.state_dict().items()
    }
    save_tensors(folder / WEIGHTS_FILE, tensors, {"format": "pt", "clary": str(VERSION)})
    code = folder / "code"
    with storage_errors(code):
        code.mkdir(parents=True, exist_ok=True)
    for name in _SERVING_FILES:
        with replacing(code / name) as temporary:
            shutil.copyfile(SERVING_CODE / name, temporary)
    description.write(folder)


def load_model(location: Path) -> tuple[Classifier, ModelDescription]:
    """Build the network of a saved model, in fp32 on the CPU and in eval mode.

    Args:
        location: a model folder or a `model.tar.gz`.

    Raises:
        FormatError: a file is missing, damaged, or of a later version.
        ModelError: the architecture is unknown to the installed timm, or the weights don't fit.
    """
    with opened_model(location) as folder:
        if not (folder / DESCRIPTION_FILE).is_file():
            raise FormatError(
                f"{location} holds no model of Clary's, for it has no {DESCRIPTION_FILE}: give a "
                "job's name, or a model folder or model.tar.gz that `clary train` has made"
            )
        description = ModelDescription.read(folder)
        path = folder / WEIGHTS_FILE
        try:
            state = load_file(path)
        except FileNotFoundError as error:
            raise FormatError(
                f"{location} has no {WEIGHTS_FILE}: it is not a whole model"
            ) from error
        except (SafetensorError, OSError) as error:
            raise FormatError(
                f"{WEIGHTS_FILE} of {location} is damaged ({error}): copy the model again"
            ) from error
        classifier = build_described(description)
        _fill(classifier, state, location)
    return classifier.eval(), description


def build_described(description: ModelDescription) -> Classifier:
    """The network of a description, with random weights.

    Raises:
        ModelError: the architecture is unknown to the installed timm.
    """
    architecture = description.architecture
    require_known(architecture.name)
    backbone = build_backbone(
        architecture.name, description.preprocessing.image_size, architecture.stem
    )
    head = build_head(
        feature_count(backbone),
        len(description.classes),
        architecture.hidden,
        architecture.dropout,
    )
    return Classifier(backbone, head, architecture)


def _fill(classifier: Classifier, state: StateDict, location: Path) -> None:
    try:
        classifier.load_state_dict(state)
    except RuntimeError as error:
        problems = [line.strip() for line in str(error).splitlines()[1:]]
        raise ModelError(
            f"the weights of {location} do not fit the network that its model.json describes "
            f"({problems[0][:200]}): both files must come from the same model"
        ) from error
