"""FastAPI and torch, as most people write it; `BF16=1` has the network in bf16, channels last."""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, Request
from network import load, opened

BF16 = os.environ.get("BF16") == "1"
app = FastAPI()
network = load()
if BF16:
    network = network.to(dtype=torch.bfloat16, memory_format=torch.channels_last)


@app.post("/predict")
async def predict(request: Request) -> Any:
    picture = opened(await request.body())[None]
    if BF16:
        picture = picture.to(dtype=torch.bfloat16, memory_format=torch.channels_last)
    with torch.inference_mode():
        return network(picture).float().softmax(dim=1)[0].tolist()


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
