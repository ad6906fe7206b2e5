"""A backbone in OpenVINO's form: converted from torch once per weights, kept, and run."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import torch
from torch import nn

from clary.errors import FormatError, StorageError
from clary.formats.files import read_json, write_json
from clary.formats.preprocessing import Preprocessing
from clary.vision.caching import CacheEntry, CacheStore, cache_key
from clary.vision.features.view_files import FeatureRows

VERSION = 1
# Pictures of 224 px a request: their activations stay in the second-level cache.
PICTURES_PER_REQUEST = 8


def computes_in_bf16() -> bool:
    """Whether the CPU has bf16 instructions (AVX512_BF16 or AMX)."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVINONetwork:
    """The network, converted or found in the store, and how far bf16 moves its features.

    Args:
        network: in eval mode on the CPU, from pictures (N, 3, S, S) to features (N, D).
        preprocessing: its normalisation becomes a part of the converted network.
        store: keeps the result.
        weights_fingerprint: of the network and its weights.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        store: CacheStore,
        weights_fingerprint: str,
    ) -> None:
        self._network = network
        self._preprocessing = preprocessing
        self._store = store
        size = preprocessing.image_size
        rows = max(1, min(64, round(PICTURES_PER_REQUEST * (224 / size) ** 2)))
        self._shape = (rows, size, size, 3)
        self._key = cache_key(
            {
                "version": VERSION,
                "openvino": openvino.__version__,
                "weights": weights_fingerprint,
                "preprocessing": preprocessing.model_dump(),
                "shape": self._shape,
            }
        )

    def model(self) -> Any:
        """The `openvino.Model`, from uint8 (R, S, S, 3) to float32 (R, D).

        Raises:
            RuntimeError: the network cannot be converted.
        """
        with self._entry() as entry:
            path = entry.folder / "network.xml"
            if path.exists():
                return openvino.Core().read_model(path)
            model = self._converted()
            if self._store.make_room(self._bytes()):
                _keep(model, path)
            return model

    def bf16_difference(self, examples: Callable[[], torch.Tensor]) -> float:
        """How far bf16 moves the features of pictures, as a part of their norm.

        It is measured once per weights, and kept.

        Args:
            examples: gives uint8 (N, S, S, 3); called when it is not known yet.

        Raises:
            RuntimeError: the network cannot be converted.
        """
        with self._entry() as entry:
            path = entry.folder / "bf16.json"
            try:
                return float(read_json(path)["difference"])
            except (FormatError, KeyError, TypeError):
                pass
            model = self.model()
            pictures = examples()
            exact, reduced = (
                np.concatenate(list(OpenVINOBackend(model, bf16=bf16).run([pictures])))
                for bf16 in (False, True)
            )
            difference = float(np.linalg.norm(reduced - exact) / np.linalg.norm(exact))
            try:
                write_json(path, {"difference": difference, "pictures": len(pictures)})
            except StorageError:
                # A full disk costs the next run a measurement, and this one nothing.
                return difference
            return difference

    def _entry(self) -> CacheEntry:
        return self._store.open("networks", self._key)

    def _converted(self) -> Any:
        network = _Normalised(self._network, self._preprocessing).eval()
        example = torch.zeros(self._shape, dtype=torch.uint8)
        with torch.no_grad(), warnings.catch_warnings():
            # Torch's about the tracer that OpenVINO uses; a person can do nothing about them.
            warnings.simplefilter("ignore")
            return openvino.convert_model(network, example_input=example, input=[*self._shape])

    def _bytes(self) -> int:
        tensors = self._network.state_dict().values()
        return sum(int(tensor.nbytes) for tensor in tensors) + 1024 * 1024


class OpenVINOBackend:
    """OpenVINO on the CPU: a stream a core, several requests in flight. Owned by one thread."""

    def __init__(self, model: Any, *, bf16: bool) -> None:
        self._compiled = openvino.Core().compile_model(
            model,
            "CPU",
            {
                "PERFORMANCE_HINT": "THROUGHPUT",
                "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
                # Pinned streams wait for their core when something else runs there.
                "ENABLE_CPU_PINNING": False,
            },
        )
        count = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._idle: deque[Any] = deque(self._compiled.create_infer_request() for _ in range(count))
        self._rows = int(self._compiled.input(0).shape[0])
        self._width = int(self._compiled.output(0).shape[1])

    def run(self, batches: Iterable[torch.Tensor]) -> Generator[FeatureRows, None, None]:
        """Give float32 (B, D) for every uint8 batch (B, S, S, 3), in order."""
        busy: deque[tuple[Any, FeatureRows, Any]] = deque()
        waiting: FeatureRows | None = None
        try:
            for images in batches:
                features = np.empty((len(images), self._width), dtype=np.float32)
                pixels = images.numpy()
                for start in range(0, len(pixels), self._rows):
                    if not self._idle:
                        self._collect(busy)
                    out = features[start : start + self._rows]
                    self._start(pixels[start : start + self._rows], out, busy)
                if waiting is not None:
                    while busy and busy[0][1].base is waiting:
                        self._collect(busy)
                    yield waiting
                waiting = features
        finally:
            while busy:
                self._collect(busy)
        if waiting is not None:
            yield waiting

    def _start(self, pixels: npt.NDArray[np.uint8], out: FeatureRows, busy: deque[Any]) -> None:
        if len(pixels) < self._rows:
            padded = np.zeros((self._rows, *pixels.shape[1:]), dtype=np.uint8)
            padded[: len(pixels)] = pixels
            pixels = padded
        request = self._idle.popleft()
        request.start_async([openvino.Tensor(pixels, shared_memory=True)])
        # The pixels are kept alive until the request is done with them.
        busy.append((request, out, pixels))

    def _collect(self, busy: deque[Any]) -> None:
        request, out, _ = busy.popleft()
        request.wait()
        out[:] = request.get_output_tensor().data[: len(out)]
        self._idle.append(request)


class _Normalised(nn.Module):
    """The backbone with the normalisation in front: uint8 (N, S, S, 3) to float32 (N, D)."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, backbone: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.backbone = backbone
        deviation = torch.tensor(preprocessing.std, dtype=torch.float64).view(1, 3, 1, 1)
        mean = torch.tensor(preprocessing.mean, dtype=torch.float64).view(1, 3, 1, 1)
        self.register_buffer("scale", (1 / (255 * deviation)).float())
        self.register_buffer("shift", (-mean / deviation).float())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        features: torch.Tensor = self.backbone(pixels)
        return features


def _keep(model: Any, path: Path) -> None:
    """Save the network; the weights come first, so that a description never lacks them."""
    try:
        with TemporaryDirectory(dir=path.parent) as folder:
            temporary = Path(folder) / path.name
            openvino.save_model(model, temporary, compress_to_fp16=False)
            weights = temporary.with_suffix(".bin")
            for file in (weights, temporary):
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
            weights.replace(path.with_suffix(".bin"))
            temporary.replace(path)
    except (OSError, RuntimeError):
        # A full disk costs the next run a conversion, and this one nothing.
        path.unlink(missing_ok=True)
