"""How a frozen backbone is run over many pictures: OpenVINO on a CPU, torch elsewhere.

Measured on two cores (AMD Zen 5, AVX512_BF16), 224 px, pictures a second, median of 5 with other
work on the machine: OpenVINO bf16 with a stream a core 108 (ResNet-18) and 650 to 800
(MobileNetV2), fp32 32 and 360; torch bf16 channels_last 21 and 184, fp32 11 and 82.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import nn

from clary.formats.preprocessing import Preprocessing
from clary.formats.training_options import Precision
from clary.vision.caching import CacheStore
from clary.vision.features.folding import fold_batchnorm
from clary.vision.features.openvino_network import (
    OpenVINOBackend,
    OpenVINONetwork,
    computes_in_bf16,
)
from clary.vision.features.view_files import FeatureRows, Message
from clary.vision.transforms import to_network_input

# What reduced precision may move the features by, as a part of their norm.
LARGEST_DIFFERENCE = 1e-2
COMPILE_FROM_PICTURES = 20_000

Examples = Callable[[], torch.Tensor]


class Backend(Protocol):
    """Runs a backbone in eval mode. Owned by one thread."""

    def run(self, batches: Iterable[torch.Tensor]) -> Generator[FeatureRows, None, None]:
        """Give float32 (B, D) for every uint8 batch (B, S, S, 3), in order.

        The next batch is asked for before the last one's features are given.
        """
        ...


@dataclass(frozen=True)
class Backbone:
    """A network from pictures (N, 3, S, S) to features (N, D), and where it is run.

    `weights_fingerprint` changes when the network or its weights do; `store` keeps what is
    converted from it; `message` is told when a slower way has to be taken.
    """

    network: nn.Module
    preprocessing: Preprocessing
    device: torch.device
    weights_fingerprint: str
    store: CacheStore
    message: Message

    def backend_name(self, precision: Precision, examples: Examples) -> str:
        """Choose a backend: features of differently named ones are kept apart.

        `fp32` is plain float32 in torch. `bf16` and `auto` are the fastest way there is: autocast
        on a GPU, OpenVINO on a CPU; in bf16 where the CPU has the instructions and the features
        of `examples`, uint8 (N, S, S, 3), move by no more than 1e-2.
        """
        if precision == "fp32":
            return "torch-fp32"
        if self.device.type != "cpu":
            return "torch-bf16"
        if not computes_in_bf16():
            return "openvino-fp32"
        try:
            difference = self._openvino().bf16_difference(examples)
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            first_line = str(error).strip().partition("\n")[0]
            self.message(
                f"OpenVINO cannot convert this network ({first_line}): "
                "features are computed in torch, several times slower"
            )
            return "torch-folded"
        if difference <= LARGEST_DIFFERENCE:
            return "openvino-bf16"
        self.message(
            f"bf16 moves this network's features by {difference:.1%}, more than "
            f"{LARGEST_DIFFERENCE:.0%}: they are computed in fp32"
        )
        return "openvino-fp32"

    def backend(self, name: str, pictures: int) -> Backend:
        """Build the backend of a name; compiling pays for many pictures only."""
        if name.startswith("openvino"):
            return OpenVINOBackend(self._openvino().model(), bf16=name.endswith("bf16"))
        network = self.network
        if name == "torch-folded":
            network = fold_batchnorm(network)
        if self.device.type == "cuda" and pictures >= COMPILE_FROM_PICTURES:
            network = cast(nn.Module, torch.compile(network))
        return TorchBackend(network, self.preprocessing, self.device, bf16=name == "torch-bf16")

    def _openvino(self) -> OpenVINONetwork:
        return OpenVINONetwork(
            self.network, self.preprocessing, self.store, self.weights_fingerprint
        )


class TorchBackend:
    """Torch, channels_last: float32, or autocast to bf16."""

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        device: torch.device,
        *,
        bf16: bool,
    ) -> None:
        self._network = network
        self._preprocessing = preprocessing
        self._device = device
        self._bf16 = bf16

    def run(self, batches: Iterable[torch.Tensor]) -> Generator[FeatureRows, None, None]:
        """Give float32 (B, D) for every uint8 batch (B, S, S, 3), in order."""
        waiting: torch.Tensor | None = None
        for images in batches:
            features = self._features(images)
            # One batch behind: a GPU computes while the next pictures are fetched.
            if waiting is not None:
                yield waiting.float().cpu().numpy()
            waiting = features
        if waiting is not None:
            yield waiting.float().cpu().numpy()

    @torch.inference_mode()
    def _features(self, images: torch.Tensor) -> torch.Tensor:
        inputs = to_network_input(
            images,
            self._preprocessing,
            device=self._device,
            dtype=torch.bfloat16 if self._bf16 else torch.float32,
        )
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            features: torch.Tensor = self._network(inputs)
        return features
