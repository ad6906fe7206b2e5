"""A model folder and its converted network that tell red, green and blue: made without torch."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import openvino
from openvino import opset13
from PIL import Image

from clary.formats.converted_model import ConvertedModel
from clary.formats.model_archive import WEIGHTS_FILE, Architecture, ModelDescription
from clary.formats.preprocessing import Preprocessing

COLOURS = ("red", "green", "blue")
_SIDE = 16
# How sure it is.
_SCALE = 20.0


def make_colour_model(folder: Path) -> Path:
    """Write a model folder; its weights are none."""
    folder.mkdir(parents=True)
    (folder / WEIGHTS_FILE).write_bytes(folder.name.encode())
    _describe(folder)
    return folder


def convert_colour_model(converted: ConvertedModel) -> Path:
    """Write its converted network: probabilities are the softmax of a picture's colours."""
    converted.folder.mkdir(parents=True)
    pixels = opset13.parameter([-1, _SIDE, _SIDE, 3], np.uint8, name="pictures")
    levels = opset13.convert(pixels, np.float32)
    means = opset13.reduce_mean(levels, np.array([1, 2]), keep_dims=False)
    logits = opset13.multiply(means, np.float32(_SCALE / 255))
    network = openvino.Model([opset13.softmax(logits, 1)], [pixels], "colours")
    openvino.save_model(network, converted.network("fp32"), compress_to_fp16=False)
    _describe(converted.folder)
    return converted.folder


def _describe(folder: Path) -> None:
    ModelDescription(
        architecture=Architecture(name="resnet18"),
        classes=COLOURS,
        preprocessing=Preprocessing(image_size=_SIDE, resize_size=_SIDE),
    ).write(folder)


def picture_of(colour: str, side: int = 40, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), {"green": "lime"}.get(colour, colour)).save(file, form)
    return file.getvalue()
