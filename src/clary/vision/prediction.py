"""Pictures in, classes and probabilities out, with a saved model.

predictor = Predictor.load(Path("model.tar.gz"))
for prediction in predictor.predict(["a.jpg", "b.png"]):
    print(prediction.name, prediction.label, prediction.probability)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from clary.errors import DataError
from clary.formats.model_archive import ModelDescription
from clary.formats.prediction import Prediction
from clary.vision.decoding import decode_picture, default_workers
from clary.vision.geometry import EvaluationTransform

Image = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]
Picture = str | Path | Image


@dataclass(frozen=True)
class Encoded:
    """A picture file that is in memory already, or why it isn't."""

    name: str
    content: bytes | DataError


class Network(Protocol):
    """A model that is loaded, which one thread at a time may ask."""

    @property
    def description(self) -> ModelDescription:
        """What its folder says."""

    def probabilities(self, crops: Image) -> Probabilities:
        """Probabilities, float32 of shape (N, classes), each row adding up to 1.

        Args:
            crops: uint8 of shape (N, S, S, 3), N of at least 1.
        """


class Predictor:
    """A model that is ready to answer.

    Owned by whoever built it; one thread may call it at a time. Decoding runs in threads of its
    own, two batches ahead at most, so that a folder of any length takes the same memory.

    Args:
        network: what runs it.
        batch_size: pictures a forward pass.
        workers: threads that decode; one a core by default, 16 at most.
    """

    def __init__(
        self,
        network: Network,
        *,
        batch_size: int = 32,
        workers: int | None = None,
    ) -> None:
        self.network = network
        self.description = network.description
        self.batch_size = batch_size
        self._workers = workers or default_workers()
        self._transform = EvaluationTransform(self.description.preprocessing)

    @classmethod
    def load(
        cls,
        location: Path,
        *,
        device: str | None = None,
        batch_size: int = 32,
        workers: int | None = None,
        precision: Literal["fp32", "bf16"] = "fp32",
    ) -> Predictor:
        """Load a model folder or a `model.tar.gz` with torch, onto a GPU when there is one.

        Raises:
            FormatError: the model is missing, damaged, or of a later version.
            ModelError: the weights don't fit the architecture.
            UsageError: the device is not here, or bf16 would be emulated on it.
        """
        # Torch takes seconds to import, and is not what runs every network.
        from clary.vision.torch_network import TorchNetwork

        network = TorchNetwork.load(location, device=device, precision=precision)
        return cls(network, batch_size=batch_size, workers=workers)

    def predict(
        self, pictures: Iterable[Picture | Encoded], top: int | None = None
    ) -> Iterator[Prediction]:
        """Predict pictures in their order, reading ahead no more than two batches.

        Args:
            pictures: paths, encoded files, or uint8 arrays of shape (height, width, 3).
            top: how many classes to rank; all by default.
        """
        count = len(self.description.classes) if top is None else top
        with ThreadPoolExecutor(self._workers, "clary-decode") as threads:
            source = enumerate(pictures)
            pending: list[Future[tuple[str, Image | DataError]]] = []
            while True:
                room = 2 * self.batch_size - len(pending)
                pending += [threads.submit(self._prepare, *item) for item in islice(source, room)]
                if not pending:
                    return
                batch, pending = pending[: self.batch_size], pending[self.batch_size :]
                yield from self._answer([future.result() for future in batch], count)

    def probabilities(self, images: Sequence[Image]) -> Probabilities:
        """Probabilities of shape (N, classes) for decoded pictures of any sizes.

        Args:
            images: uint8 arrays of shape (height, width, 3).
        """
        parts = [
            self.network.probabilities(
                np.stack([self._transform(image) for image in images[start : start + size]])
            )
            for size in [self.batch_size]
            for start in range(0, len(images), size)
        ]
        return np.concatenate([np.empty((0, len(self.description.classes)), np.float32), *parts])

    def _prepare(self, number: int, picture: Picture | Encoded) -> tuple[str, Image | DataError]:
        name = f"picture {number}" if isinstance(picture, np.ndarray) else _name(picture)
        try:
            image = picture if isinstance(picture, np.ndarray) else self._decode(picture, name)
            return name, self._transform(_checked(image, name))
        except DataError as error:
            return name, error

    def _decode(self, picture: str | Path | Encoded, name: str) -> Image:
        if isinstance(picture, Encoded):
            if isinstance(picture.content, DataError):
                raise picture.content
            content = picture.content
        else:
            try:
                content = Path(picture).read_bytes()
            except OSError as error:
                raise DataError(f"{name} cannot be read: {error.strerror or error}") from error
        return decode_picture(content, name, min_side=self._transform.min_side)

    def _answer(
        self, prepared: list[tuple[str, Image | DataError]], count: int
    ) -> Iterator[Prediction]:
        images = [image for _, image in prepared if not isinstance(image, DataError)]
        rows = iter(self.network.probabilities(np.stack(images)) if images else ())
        for name, image in prepared:
            if isinstance(image, DataError):
                yield Prediction(name, error=str(image))
            else:
                yield Prediction(name, self._ranked(next(rows), count))

    def _ranked(self, row: Probabilities, count: int) -> tuple[tuple[str, float], ...]:
        order = np.argsort(-row, kind="stable")[:count]
        return tuple((self.description.classes[int(k)], float(row[k])) for k in order)


def predict(
    model: Path | str, pictures: Iterable[Picture | Encoded], top: int | None = None
) -> list[Prediction]:
    """Predict a few pictures with a saved model.

    Args:
        model: a model folder or a `model.tar.gz`.
        pictures: paths, encoded files, or uint8 arrays of shape (height, width, 3).
        top: how many classes to rank; all by default.

    Raises:
        FormatError: the model is missing, damaged, or of a later version.
        ModelError: the weights don't fit the architecture.
    """
    return list(Predictor.load(Path(model)).predict(pictures, top))


def _name(picture: str | Path | Encoded) -> str:
    return picture.name if isinstance(picture, Encoded) else str(picture)


def _checked(image: Image, name: str) -> Image:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise DataError(
            f"{name} is an array of {image.dtype} and shape {image.shape}: "
            "give uint8 of shape (height, width, 3)"
        )
    return image
