"""Makes a saved model ready to be served: its network in OpenVINO's form, kept in the cache.

It takes the seconds that the start of an endpoint then does not take. A converted network is put
in place only once it answers as the model does.
"""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import torch
from PIL import Image as PillowImage

from clary.errors import ExportError, ParityError, StorageError
from clary.formats.converted_model import LOCK_FILE, ConvertedModel, ConvertedPrecision
from clary.formats.files import storage_errors
from clary.formats.model_archive import DESCRIPTION_FILE, WEIGHTS_FILE
from clary.vision.caching import CacheStore, locked
from clary.vision.export.exporting import PARITY_BOUND
from clary.vision.export.graph import ServedNetwork
from clary.vision.features.openvino_network import computes_in_bf16
from clary.vision.models import load_model

Crops = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]
Runner = Callable[[Crops], Probabilities]

_MAKING_FILE = "making.lock"
_COMPARED = 3


@dataclass(frozen=True)
class Conversion:
    """A converted model: `made` is false where it was there already, after no time.

    `difference` is the largest difference of a probability between the network and the model, on
    made-up pictures; None where it was not compared now. `difference_bf16` is the same where the
    processor computes in bf16, which "auto" then does; it is told, and not bounded.
    """

    converted: ConvertedModel
    made: bool
    seconds: float
    difference: float | None = None
    difference_bf16: float | None = None


def convert_model(model: Path, store: CacheStore) -> Conversion:
    """Convert a model, unless the cache has it; several processes may ask at once.

    Args:
        model: a model folder.
        store: keeps the result.

    Raises:
        ExportError: the network cannot be converted.
        ParityError: the network answers otherwise than the model; nothing is kept.
        FormatError: the model is missing, damaged, or of a later version.
        ModelError: the weights don't fit the architecture.
        StorageError: the cache cannot be written, or has no room.
    """
    started = time.perf_counter()
    converted = ConvertedModel.of(model, store.root)
    with making(converted, store):
        if converted.has("fp32"):
            return Conversion(converted, made=False, seconds=time.perf_counter() - started)
        require_room(store, 2 * (model / WEIGHTS_FILE).stat().st_size)
        network, difference, difference_bf16 = _converted(model)
        with storage_errors(converted.folder):
            shutil.copyfile(model / DESCRIPTION_FILE, converted.folder / DESCRIPTION_FILE)
        keep_network(network, converted, "fp32")
    return Conversion(
        converted,
        made=True,
        seconds=time.perf_counter() - started,
        difference=difference,
        difference_bf16=difference_bf16,
    )


def require_room(store: CacheStore, size_bytes: int) -> None:
    """Make room for `size_bytes` more.

    Raises:
        StorageError: the cache's bound does not allow it, or it cannot be written.
    """
    if not store.make_room(size_bytes):
        raise StorageError(
            f"the cache {store.root} has no room for {size_bytes:,} bytes more: raise "
            "CLARY_CACHE_GB"
        )


@contextmanager
def making(converted: ConvertedModel, store: CacheStore) -> Iterator[None]:
    """Hold the folder of a converted model: not evicted, and written by this process alone.

    Raises:
        StorageError: the cache cannot be written.
    """
    with store.open(converted.folder.parent.name, converted.folder.name):  # noqa: SIM117
        with locked(converted.folder / _MAKING_FILE):
            yield


def keep_network(network: Any, converted: ConvertedModel, precision: ConvertedPrecision) -> None:
    """Save a network in place of what was there; the `.xml` goes last.

    Raises:
        StorageError: the cache cannot be written.
    """
    target = converted.network(precision)
    try:
        with (
            storage_errors(target),
            TemporaryDirectory(dir=converted.folder, prefix=".") as folder,
        ):
            temporary = Path(folder) / target.name
            openvino.save_model(network, temporary, compress_to_fp16=False)
            weights = temporary.with_suffix(".bin")
            for file in (weights, temporary):
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
            # Never a description beside the weights of another network.
            with locked(converted.folder / LOCK_FILE):
                target.unlink(missing_ok=True)
                weights.replace(target.with_suffix(".bin"))
                temporary.replace(target)
    except RuntimeError as error:
        # How OpenVINO says that a file cannot be written.
        raise StorageError(f"{target} cannot be written: {error}") from error


def run_network(network: Any, *, bf16: bool = False) -> Runner:
    """Compile a network for the CPU: uint8 crops (N, S, S, 3) to probabilities (N, classes)."""
    compiled = openvino.Core().compile_model(
        network, "CPU", {"INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"}
    )
    return lambda crops: np.array(compiled(crops)[0], dtype=np.float32)


def _converted(model: Path) -> tuple[Any, float, float | None]:
    """The network, and how far it is from the model: in fp32, and in bf16 where that is quick."""
    classifier, description = load_model(model)
    preprocessing = description.preprocessing
    classifier.requires_grad_(False)
    served = ServedNetwork(classifier, preprocessing, description.temperature).eval()
    crops = _made_up_crops(preprocessing.image_size)
    try:
        # Torch's about the tracer that OpenVINO uses; a person can do nothing about them.
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            size = preprocessing.image_size
            network = openvino.convert_model(
                served, example_input=torch.from_numpy(crops[:2]), input=[-1, size, size, 3]
            )
            expected = served(torch.from_numpy(crops)).numpy()
    except (OSError, MemoryError):
        raise
    except Exception as error:
        # The converter raises errors of many kinds for what it cannot express.
        reason = (str(error).strip().splitlines() or [""])[0][:300]
        raise ExportError(
            f"the network {description.architecture.name} cannot be converted to OpenVINO "
            f"({type(error).__name__}: {reason}): serve it as a script, with the archive's "
            "code/inference.py"
        ) from error
    difference = _difference(run_network(network), crops, expected)
    _require_parity(difference)
    in_bf16 = computes_in_bf16()
    return (
        network,
        difference,
        _difference(run_network(network, bf16=True), crops, expected) if in_bf16 else None,
    )


def _difference(run: Runner, crops: Crops, expected: Probabilities) -> float:
    """How far the network is from the model, for several pictures at once and for one."""
    answers = np.concatenate([run(crops), run(crops[:1])])
    wanted = np.concatenate([expected, expected[:1]])
    return float(np.abs(answers - wanted).max())


def _require_parity(difference: float) -> None:
    # A NaN must not pass: it compares false with everything.
    if not difference <= PARITY_BOUND:
        raise ParityError(
            f"the converted network's probabilities differ from the model's by {difference:.2e} "
            f"(the bound is {PARITY_BOUND:.0e}): serve it as a script, with the archive's "
            "code/inference.py"
        )


def _made_up_crops(size: int) -> Crops:
    """Smooth colours with some grain, as in photos."""
    rng = np.random.default_rng(0)
    crops = np.empty((_COMPARED, size, size, 3), np.uint8)
    for crop in crops:
        colours = PillowImage.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        smooth = np.asarray(colours.resize((size, size), PillowImage.Resampling.BICUBIC))
        crop[:] = np.clip(smooth + rng.integers(-8, 9, crop.shape), 0, 255)
    return crops
