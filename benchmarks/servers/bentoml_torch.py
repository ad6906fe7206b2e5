"""BentoML and torch: `bentoml serve bentoml_torch:Classifier`; `BATCH=1` for none."""

from __future__ import annotations

import os

import bentoml
import torch
from network import TRANSFORM, load
from PIL.Image import Image as Picture

BATCH = int(os.environ.get("BATCH", "1"))


def answered(network: torch.nn.Module, pictures: list[Picture]) -> list[list[float]]:
    batch = torch.stack([TRANSFORM(picture.convert("RGB")) for picture in pictures])
    with torch.inference_mode():
        return network(batch).softmax(dim=1).tolist()


if BATCH > 1:

    @bentoml.service(workers=1, traffic={"concurrency": 64})
    class Classifier:
        def __init__(self) -> None:
            self.network = load()

        @bentoml.api(batchable=True, max_batch_size=BATCH, max_latency_ms=60_000)
        def predict(self, image: list[Picture]) -> list[list[float]]:
            return answered(self.network, image)

else:

    @bentoml.service(workers=1, traffic={"concurrency": 64})
    class Classifier:
        def __init__(self) -> None:
            self.network = load()

        @bentoml.api
        def predict(self, image: Picture) -> list[float]:
            return answered(self.network, [image])[0]
