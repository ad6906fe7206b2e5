"""Exports a saved model, and puts the file in place only once it answers as the model does."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

import clary
from clary.errors import ClaryError, ExportError, ParityError, UsageError
from clary.formats.files import storage_errors
from clary.vision.decoding import decode_picture
from clary.vision.export.conversions import (
    Network,
    Runner,
    about_model,
    write_onnx,
    write_openvino,
    write_torchscript,
)
from clary.vision.export.graph import CropsToProbabilities
from clary.vision.models import load_model
from clary.vision.prediction import Predictor
from clary.vision.torch_network import TorchNetwork

Format = Literal["onnx", "openvino", "torchscript"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".pt"}
PARITY_BOUND = 1e-3
# Of many classes nearly all probabilities are under PARITY_BOUND: their logarithms tell more.
LOG_PARITY_BOUND = 1e-2
# Under this, a float32 softmax and its logarithm keep few digits.
_LEAST_PROBABILITY = 1e-12

Image = npt.NDArray[np.uint8]

_WRITERS = {"onnx": write_onnx, "openvino": write_openvino, "torchscript": write_torchscript}
_SIZES = ((375, 500), (500, 333), (61, 83), (240, 240), (720, 1280))


@dataclass(frozen=True)
class ExportResult:
    """What was written: `path` is the file to load, `files` all of them.

    `difference` is the largest difference of a probability between the file and Clary, over
    `pictures` pictures.
    """

    format: Format
    path: Path
    files: tuple[Path, ...]
    size_bytes: int
    difference: float
    pictures: int
    classes: tuple[str, ...]
    seconds: float


def export_model(
    model_path: Path,
    format: Format,  # noqa: A002 - the word of `--format`
    output: Path | None = None,
    sample_pictures: Sequence[Path] | None = None,
    *,
    parity_bound: float = PARITY_BOUND,
) -> ExportResult:
    """Export a model with its preprocessing inside, from pixels to probabilities.

    The file takes uint8 RGB pictures (N, H, W, 3) of any size and gives probabilities
    (N, classes). It is compared with Clary on made-up pictures of several sizes and on yours,
    from decoded pixels on: Clary decodes a JPEG whose short side is at least four times
    `resize_size` at a reduced scale, and answers slightly otherwise than on its full pixels.

    Args:
        model_path: a model folder or a `model.tar.gz`.
        format: "onnx", "openvino" or "torchscript".
        output: the file to write; `<name of the network>.onnx|.xml|.pt` here by default.
        sample_pictures: more pictures to compare on.
        parity_bound: the largest difference of a probability that passes.

    Raises:
        UsageError: the format is unknown, or the output's ending belongs to another.
        ParityError: a probability differs by more than the bound, its centred logarithm by more
            than 1e-2, or the likeliest class is another; nothing is written.
        ExportError: the conversion failed, or a library is missing.
        FormatError: the model is missing, damaged, or of a later version.
        UnreadablePicture: a sample picture cannot be read.
    """
    started = time.perf_counter()
    if format not in FORMATS:
        raise UsageError(f"there is no format {format!r}: choose {', '.join(FORMATS)}")
    classifier, description = load_model(model_path)
    suffix = SUFFIXES[format]
    target = output or Path(description.architecture.name + suffix)
    if target.suffix != suffix:
        raise UsageError(f"{target} must end in {suffix} for {format}")
    pictures = [*made_up_pictures(), *_read(sample_pictures or ())]
    predictor = Predictor(TorchNetwork(classifier, description))
    expected = predictor.probabilities(pictures)
    upturned = predictor.probabilities([picture[::-1] for picture in pictures])
    classifier.requires_grad_(False)
    preprocessing = description.preprocessing
    scores = CropsToProbabilities(classifier, preprocessing, description.temperature).eval()
    network = Network(scores, preprocessing)
    about = about_model(description.classes, preprocessing, clary.__version__)
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".clary-export-", dir=target.parent) as folder:
            written = Path(folder) / target.name
            run = _convert(format, network, about, written)
            difference = check_parity(run, pictures, expected, upturned, parity_bound)
            del run
            files = _put_in_place(Path(folder), target)
    return ExportResult(
        format=format,
        path=target,
        files=files,
        size_bytes=sum(file.stat().st_size for file in files),
        difference=difference,
        pictures=len(pictures),
        classes=description.classes,
        seconds=time.perf_counter() - started,
    )


def check_parity(
    run: Runner,
    pictures: Sequence[Image],
    expected: npt.NDArray[np.float32],
    upturned: npt.NDArray[np.float32],
    bound: float = PARITY_BOUND,
) -> float:
    """The largest difference of a probability over pictures, each alone and with its upturned self.

    Args:
        run: uint8 (N, H, W, 3) to probabilities (N, classes).
        pictures: uint8 arrays of shape (height, width, 3).
        expected: what Clary says, shape (pictures, classes).
        upturned: what it says of the pictures upside down.
        bound: the largest difference that passes.

    Raises:
        ParityError: the difference is over the bound, that of the centred logarithms over
            `LOG_PARITY_BOUND`, the likeliest class is another, or an answer has another shape.
    """
    worst = 0.0
    for number, picture in enumerate(pictures):
        twice = run(np.ascontiguousarray(np.stack([picture, picture[::-1]])))
        once = run(np.ascontiguousarray(picture[None]))
        wanted = expected[number]
        if once.shape != (1, len(wanted)) or twice.shape != (2, len(wanted)):
            raise ParityError(
                f"the exported model gives {once.shape} and {twice.shape} for 1 and 2 pictures "
                f"of {len(wanted)} classes: nothing was written"
            )
        pairs = ((once[0], wanted), (twice[0], wanted), (twice[1], upturned[number]))
        for answer, own in pairs:
            difference = float(np.abs(answer - own).max())
            reason = _disagreement(answer, own, bound)
            if reason:
                height, width = picture.shape[:2]
                raise ParityError(
                    f"the exported model's {reason} on a picture of {width}×{height}: nothing was "
                    "written; try another format"
                )
            worst = max(worst, difference)
    return worst


def _disagreement(
    answer: npt.NDArray[np.float32], own: npt.NDArray[np.float32], bound: float
) -> str | None:
    # A NaN must not pass: it compares false with everything.
    difference = float(np.abs(answer - own).max())
    if not difference <= bound:
        return f"probabilities differ from Clary's by {difference:.2e} (the bound is {bound:.0e})"
    kept = own > _LEAST_PROBABILITY
    logs = [np.log(np.maximum(row[kept], _LEAST_PROBABILITY / 10)) for row in (answer, own)]
    apart = float(np.abs((logs[0] - logs[0].mean()) - (logs[1] - logs[1].mean())).max())
    if not apart <= LOG_PARITY_BOUND:
        return (
            f"log-probabilities differ from Clary's by {apart:.2e} (the bound is "
            f"{LOG_PARITY_BOUND:.0e})"
        )
    # Within the bounds two classes can only change places when they are as good as tied.
    behind = float(np.log(own.max() / own[answer.argmax()]))
    if not behind <= 2 * apart + 1e-6:
        return f"likeliest class is another than Clary's, which lies {behind:.2e} ahead"
    return None


def made_up_pictures() -> list[Image]:
    """Pictures of several sizes: smooth shapes with some grain as in photos, and pure noise."""
    rng = np.random.default_rng(0)
    pictures = []
    for number, (height, width) in enumerate(_SIZES):
        rows = np.linspace(0, 1, height)[:, None, None]
        columns = np.linspace(0, 1, width)[None, :, None]
        pixels = np.full((height, width, 3), 120.0)
        for _ in range(6):
            across, down = rng.uniform(-9, 9, 2)
            phase, strength = rng.uniform(0, 6, 3), rng.uniform(5, 40, 3)
            pixels += strength * np.sin(across * columns + down * rows + phase)
        pixels[height // 3 : height // 2, width // 4 : width // 2] += rng.uniform(-90, 90, 3)
        pixels += rng.normal(0, 60 if number % 2 else 4, pixels.shape)
        pictures.append(pixels.clip(0, 255).astype(np.uint8))
    pictures.append(rng.integers(0, 256, (300, 217, 3), dtype=np.uint8))
    return pictures


def _read(paths: Sequence[Path]) -> list[Image]:
    images = []
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ExportError(
                f"the sample picture {path} cannot be read: {error.strerror}"
            ) from error
        images.append(decode_picture(content, str(path)))
    return images


def _convert(name: Format, network: Network, about: dict[str, str], path: Path) -> Runner:
    try:
        return _WRITERS[name](network, about, path)
    except (ClaryError, OSError, MemoryError):
        raise
    except Exception as error:
        # Converters raise errors of many libraries for what they cannot express.
        reason = (str(error).strip().splitlines() or [""])[0][:300]
        raise ExportError(
            f"the conversion to {name} failed ({type(error).__name__}: {reason}): "
            "try another format"
        ) from error


def _put_in_place(folder: Path, target: Path) -> tuple[Path, ...]:
    # The file that is loaded goes last, so that it never stands without what it refers to.
    names = sorted((path.name for path in folder.iterdir()), key=lambda name: name == target.name)
    for name in names:
        shutil.move(folder / name, target.parent / name)
    return tuple(target.parent / name for name in names)
