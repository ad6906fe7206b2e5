"""Serves this model wherever SageMaker's PyTorch container does: model, input, predict, output.

It travels inside the model archive as `code/inference.py` and needs torch, timm, pillow,
safetensors and numpy, nothing of Clary's. With simplejpeg installed JPEGs are decoded exactly as
in training, large ones at a reduced scale too; without it Pillow decodes at the same scale, with
another inverse cosine transform: most pixels differ by a level or two.

| request           | body                                                                    |
|-------------------|-------------------------------------------------------------------------|
| image/*, application/x-image, application/octet-stream | the bytes of one picture file      |
| application/json  | 0…255 integers of shape (H, W, 3) or (N, H, W, 3), bare or as            |
|                   | "instances"; or a list of {"b64": picture file in base64}                |
| application/x-npy | uint8 of shape (H, W, 3) or (N, H, W, 3)                                 |

| response                      | body                                                        |
|-------------------------------|-------------------------------------------------------------|
| application/json              | probabilities, one list per picture                         |
| application/json;verbose=true | {"predictions": [{"label", "probability", "probabilities"}]} |
| application/x-npy, text/csv   | probabilities of shape (N, classes)                         |
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch import nn

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

VERSION = 1
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
# As in training: scales that libjpeg has fast inverse transforms for, and how many stray bytes
# between the segments of a JPEG lose no pixel.
JPEG_FACTORS = (8, 4, 2)
STRAY_BYTES = re.compile(r"(\d+) extraneous bytes before marker")
MAX_STRAY_BYTES = 16
BATCH = 32
PICTURES = ("image/", "application/x-image", "application/octet-stream")
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class BadRequestError(ValueError):
    """The body is not what its content type says, or a type is not served."""


@dataclass
class Served:
    """A network that is ready, and `model.json`."""

    network: nn.Module
    description: dict[str, Any]
    device: torch.device


@dataclass
class Answer:
    """Probabilities of shape (N, classes), and the names of the classes."""

    probabilities: np.ndarray
    classes: list[str]


def model_fn(model_dir: str) -> Served:
    """Load the model of a folder.

    Raises:
        ValueError: the model is of a later format.
    """
    folder = Path(model_dir)
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if description["version"] > VERSION:
        raise ValueError(
            f"model.json has version {description['version']} but this code reads up to {VERSION}"
        )
    network = _build(description)
    network.load_state_dict(load_file(folder / "model.safetensors"))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Served(network.eval().to(device), description, device)


def input_fn(body: bytes | str, content_type: str) -> list[np.ndarray | bytes]:
    """Take a request apart: arrays, uint8 of shape (H, W, 3) each, or picture files.

    Files are decoded in `predict_fn`, which knows how large the network wants them.

    Raises:
        BadRequestError: the body does not fit its type, or the type is not served.
    """
    kind = content_type.partition(";")[0].strip().lower()
    data = body.encode() if isinstance(body, str) else bytes(body)
    if kind.startswith(PICTURES):
        return [data]
    if kind == "application/json":
        return _from_json(data)
    if kind == "application/x-npy":
        try:
            array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        except (ValueError, EOFError, OSError, MemoryError) as error:
            raise BadRequestError(f"the body is not an array in .npy form: {error}") from error
        return [*_pictures(array)]
    raise BadRequestError(
        f"content type {content_type!r} is not served: send image/jpeg, image/png, "
        "application/x-image, application/json or application/x-npy"
    )


def predict_fn(pictures: list[np.ndarray | bytes], served: Served) -> Answer:
    """Give the probabilities of the pictures.

    Raises:
        BadRequestError: a picture file cannot be decoded.
    """
    description = served.description
    preprocessing = description["preprocessing"]
    mean = torch.tensor(preprocessing["mean"], device=served.device)
    std = torch.tensor(preprocessing["std"], device=served.device)
    parts = []
    for start in range(0, len(pictures), BATCH):
        crops = [_crop(picture, preprocessing) for picture in pictures[start : start + BATCH]]
        images = torch.from_numpy(np.stack(crops)).to(served.device)
        images = ((images / 255 - mean) / std).permute(0, 3, 1, 2)
        with torch.inference_mode():
            logits = served.network(images).float() / description["temperature"]
            parts.append(logits.softmax(dim=1).cpu().numpy())
    return Answer(np.concatenate(parts), description["classes"])


def output_fn(answer: Answer, accept: str) -> tuple[bytes | str, str]:
    """Encode the answer, and say as what.

    Raises:
        BadRequestError: the type is not served.
    """
    kind, _, parameters = (accept or "*/*").partition(";")
    kind = kind.strip().lower()
    if kind in {"*/*", "application/json", ""}:
        if "verbose" in parameters and "false" not in parameters.lower():
            return json.dumps({"predictions": _named(answer)}), "application/json"
        return json.dumps(answer.probabilities.tolist()), "application/json"
    if kind == "application/x-npy":
        buffer = io.BytesIO()
        np.save(buffer, answer.probabilities)
        return buffer.getvalue(), kind
    if kind == "text/csv":
        rows = (",".join(repr(float(value)) for value in row) for row in answer.probabilities)
        return "\n".join(rows) + "\n", kind
    raise BadRequestError(
        f"accept {accept!r} is not served: ask for application/json, application/x-npy or text/csv"
    )


def _named(answer: Answer) -> list[dict[str, Any]]:
    named = []
    for row in answer.probabilities:
        best = int(row.argmax())
        named.append(
            {
                "label": answer.classes[best],
                "probability": float(row[best]),
                "probabilities": dict(zip(answer.classes, row.tolist(), strict=True)),
            }
        )
    return named


class _Network(nn.Module):
    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.backbone(images))
        return logits


def _build(description: dict[str, Any]) -> nn.Module:
    architecture = description["architecture"]
    name, size = architecture["name"], description["preprocessing"]["image_size"]
    about = timm.models.get_pretrained_cfg(name)
    fixed = bool(about and getattr(about, "fixed_input_size", False))
    backbone: Any = timm.create_model(name, num_classes=0, **({"img_size": size} if fixed else {}))
    if architecture["stem"] == "small":
        stem = backbone.conv1
        if isinstance(stem, nn.Sequential):
            first: Any = stem[0]
            first.stride = (1, 1)
        else:
            backbone.conv1 = nn.Conv2d(
                stem.in_channels, stem.out_channels, 3, padding=1, bias=False
            )
        backbone.maxpool = nn.Identity()
    width = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    layers: list[nn.Module] = []
    dropout = [nn.Dropout(architecture["dropout"])] if architecture["dropout"] > 0 else []
    for wide in architecture["hidden"]:
        layers += [*dropout, nn.Linear(width, wide), nn.ReLU()]
        width = wide
    layers += [*dropout, nn.Linear(width, len(description["classes"]))]
    return _Network(backbone, nn.Sequential(*layers))


def _decode(data: bytes, min_side: int) -> np.ndarray:
    try:
        # The formats that training takes: others, EPS above all, may start processes.
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            upright = ImageOps.exif_transpose
            # MPO is what Pillow calls a JPEG with more pictures behind the first.
            if image.format in {"JPEG", "MPO"} and image.mode in {"RGB", "L"}:
                factor = _factor(min(image.size), min_side)
                if simplejpeg is None:
                    image.draft("RGB", (image.width // factor, image.height // factor))
                elif (pixels := _decode_jpeg(data, image.size, factor)) is not None:
                    stored = Image.fromarray(pixels)
                    stored.getexif()[0x0112] = image.getexif().get(0x0112, 1)
                    return np.asarray(upright(stored))
            image.load()
            return _to_rgb(upright(image))
    except MemoryError:
        raise
    except Exception as error:
        # Given damaged bytes, Pillow's plugins raise nearly anything; DecompressionBombError is
        # none of OSError and ValueError either.
        raise BadRequestError(f"the body is not a readable picture: {error}") from error


def _factor(short: int, min_side: int) -> int:
    return next((f for f in JPEG_FACTORS if -(-short // f) >= min_side), 1)


def _decode_jpeg(data: bytes, size: tuple[int, int], factor: int) -> np.ndarray | None:
    """The pixels, or None for a file with a few stray bytes, which Pillow reads as well."""
    width, height = (-(-side // factor) for side in size)
    try:
        pixels: np.ndarray = simplejpeg.decode_jpeg(
            data, "RGB", min_height=height, min_width=width, strict=True
        )
    except ValueError as error:
        stray = STRAY_BYTES.search(str(error))
        if stray is None or int(stray[1]) > MAX_STRAY_BYTES:
            raise
        return None
    return pixels


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode == "F":
        raise ValueError("32-bit floating point pixels have no known range, save it with 8 bits")
    if image.mode.startswith("I"):
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return np.repeat(((grey * 255 + 32767) // 65535).astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        white = Image.new("RGBA", layers.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, layers)
    return np.asarray(image.convert("RGB"))


def _from_json(data: bytes) -> list[np.ndarray | bytes]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if isinstance(content, dict):
        content = content.get("instances", [content] if "b64" in content else None)
    if not isinstance(content, list) or not content:
        raise BadRequestError('the body holds no pictures: send a list, or {"instances": a list}')
    if isinstance(content[0], dict):
        try:
            return [base64.b64decode(item["b64"], validate=True) for item in content]
        except (KeyError, TypeError, binascii.Error) as error:
            raise BadRequestError(
                f'an instance is no {{"b64": …}} of a picture: {error}'
            ) from error
    try:
        values = np.asarray(content)
    except ValueError as error:
        raise BadRequestError(
            f"the pictures of one request must have one shape: {error}"
        ) from error
    return [*_pictures(values)]


def _pictures(values: np.ndarray) -> list[np.ndarray]:
    if values.ndim == 3:
        values = values[None]
    if values.ndim != 4 or values.shape[-1] != 3 or 0 in values.shape:
        raise BadRequestError(
            f"pictures have shape {values.shape}: send (H, W, 3) or (N, H, W, 3), red first"
        )
    if values.dtype != np.uint8:
        whole = values.dtype.kind in "iuf" and bool((values == np.floor(values)).all())
        if not whole or values.min() < 0 or values.max() > 255:
            raise BadRequestError("pixels must be whole numbers from 0 to 255, not normalised")
        values = values.astype(np.uint8)
    return list(values)


def _crop(picture: np.ndarray | bytes, preprocessing: dict[str, Any]) -> np.ndarray:
    if isinstance(picture, bytes):
        picture = _decode(picture, 2 * preprocessing["resize_size"])
    # The resize to the short side and the centre crop, as one resize of the box that it shows.
    size, short = preprocessing["image_size"], preprocessing["resize_size"]
    height, width = picture.shape[:2]
    if width <= height:
        new_width, new_height = short, max(short, int(short * height / width))
    else:
        new_width, new_height = max(short, int(short * width / height)), short
    left, top = round((new_width - size) / 2), round((new_height - size) / 2)
    if (new_width, new_height) == (width, height):
        return picture[top : top + size, left : left + size]
    across, down = width / new_width, height / new_height
    box = (
        left * across,
        top * down,
        min((left + size) * across, width),
        min((top + size) * down, height),
    )
    resampling = RESAMPLING[preprocessing["interpolation"]]
    return np.asarray(Image.fromarray(picture).resize((size, size), resampling, box=box))
