"""LitServe and torch; `BATCH` is its largest batch, 1 for none. It takes pictures as base64."""

import base64
import os
import sys
from typing import Any

import litserve
import torch
from network import load, opened

BATCH = int(os.environ.get("BATCH", "1"))


class Classifier(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.network = load().to(device)

    # Its type is left open: LitServe reads it, and takes another than its own for a form.
    def decode_request(self, request):
        return opened(base64.b64decode(request["image_data"]))

    def predict(self, pictures: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            batch = pictures if BATCH > 1 else pictures[None]
            probabilities = self.network(batch).softmax(dim=1)
            return probabilities if BATCH > 1 else probabilities[0]

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(list(inputs))

    def encode_response(self, output: torch.Tensor) -> Any:
        return {"probabilities": output.tolist()}


if __name__ == "__main__":
    api = Classifier(max_batch_size=BATCH, batch_timeout=0.01) if BATCH > 1 else Classifier()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False
    )
