"""A network in torch: on a GPU in bf16, channels_last, compiled.

A batch is filled up to the next power of two, so that few sizes are compiled, all of them before
the first answer.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import torch

from clary.endpoint.runtimes.runtime import Crops, Probabilities, Stream
from clary.errors import UsageError
from clary.formats.preprocessing import Preprocessing
from clary.formats.replica import Precision
from clary.vision.export.graph import ServedNetwork
from clary.vision.hardware import choose_device, require_precision
from clary.vision.models import load_model

# One that computes, one that decodes what comes next, and one that copies.
_GPU_STREAMS = 3


class TorchRuntime:
    """A saved model on a device.

    Args:
        model: a model folder.
        precision: "auto" is bf16 where the device computes in it, else fp32.
        max_batch: the most pictures that are given at once.
        device: a name such as `cuda:1`; a GPU where there is one when None.

    Raises:
        FormatError: the model is missing, damaged, or of a later version.
        ModelError: the weights don't fit the architecture.
        UsageError: int8 is asked for, which OpenVINO computes; the device is not here, or bf16
            would be emulated on it.
    """

    def __init__(
        self, model: Path, precision: Precision, *, max_batch: int, device: str | None = None
    ) -> None:
        if precision == "int8":
            raise UsageError("the precision is int8, which only runs on the CPU: give auto")
        self._device = choose_device(device)
        native = require_precision("bf16" if precision == "bf16" else "auto", self._device)
        self._bf16 = native and precision != "fp32"
        classifier, description = load_model(model)
        classifier.requires_grad_(False)
        if self._bf16:
            _halve(classifier)
        network = ServedNetwork(classifier, description.preprocessing, description.temperature)
        self._network = network.eval().to(self._device).to(memory_format=torch.channels_last)
        self.name = f"torch {'bf16' if self._bf16 else 'fp32'} on {self._device}"
        self.classes: tuple[str, ...] = description.classes
        self.preprocessing: Preprocessing = description.preprocessing
        self.streams_wanted = _GPU_STREAMS
        self.batch_wanted = max_batch
        self._sizes = [1 << power for power in range((max_batch - 1).bit_length() + 1)]

    def streams(self, count: int) -> list[Stream]:
        """Streams for `count` threads, that share the weights. Called once."""
        network: torch.nn.Module = self._network
        if self._device.type == "cuda":
            network = torch.compile(network, dynamic=False)  # type: ignore[assignment]
        turn = threading.Lock()
        streams: list[Stream] = [
            TorchStream(network, self._device, self._sizes, turn, bf16=self._bf16)
            for _ in range(count)
        ]
        if self._device.type == "cuda":
            side = self.preprocessing.image_size
            for size in self._sizes:
                streams[0].probabilities(np.zeros((size, side, side, 3), np.uint8))
        return streams

    def whole(self) -> Stream | None:
        """None: each stream has the device to itself while it computes."""
        return None


class TorchStream:
    """One thread's way to a network that several threads share, one at a time.

    A GPU computes one batch after the other in any case; the turn covers no more than putting the
    work in its queue, so that the next batch is copied while one is computed.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        device: torch.device,
        sizes: list[int],
        turn: threading.Lock,
        *,
        bf16: bool,
    ) -> None:
        self._network = network
        self._bf16 = bf16
        self._device = device
        self._sizes = sizes
        self._turn = turn

    def probabilities(self, crops: Crops) -> Probabilities:
        """Probabilities, float32 of shape (N, classes), for uint8 crops (N, S, S, 3)."""
        most = self._sizes[-1]
        if len(crops) > most:
            parts = [crops[start : start + most] for start in range(0, len(crops), most)]
            return np.concatenate([self.probabilities(part) for part in parts])
        size = next(size for size in self._sizes if size >= len(crops))
        pixels = np.zeros((size, *crops.shape[1:]), np.uint8)
        pixels[: len(crops)] = crops
        images = torch.from_numpy(pixels).to(self._device)
        with (
            self._turn,
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16),
        ):
            answers = self._network(images)
        probabilities: Probabilities = answers[: len(crops)].cpu().numpy()
        return probabilities


def _halve(network: torch.nn.Module) -> None:
    """Keep in bf16 what autocast would convert anew for every batch; normalisations stay fp32."""
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.to(torch.bfloat16)
