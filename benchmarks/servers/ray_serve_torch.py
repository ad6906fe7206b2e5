"""Ray Serve and torch; `BATCH` is its largest batch, 1 for none."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import ray
import torch
from network import load, opened
from ray import serve
from starlette.requests import Request

BATCH = int(os.environ.get("BATCH", "1"))


@serve.deployment(ray_actor_options={"num_cpus": 1}, max_ongoing_requests=64)
class Classifier:
    def __init__(self) -> None:
        self.network = load()

    @serve.batch(max_batch_size=max(2, BATCH), batch_wait_timeout_s=0.01)
    async def together(self, bodies: list[bytes]) -> list[list[float]]:
        with torch.inference_mode():
            batch = torch.stack([opened(body) for body in bodies])
            return self.network(batch).softmax(dim=1).tolist()

    async def __call__(self, request: Request) -> Any:
        body = await request.body()
        if BATCH > 1:
            return await self.together(body)
        with torch.inference_mode():
            return self.network(opened(body)[None]).softmax(dim=1)[0].tolist()


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Classifier.bind(), route_prefix="/predict")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
