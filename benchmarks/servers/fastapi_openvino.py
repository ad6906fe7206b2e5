"""FastAPI in front of the network that Clary serves: the same OpenVINO file and precision.

A handler in the thread pool, and a request of OpenVINO's for each thread, as its documentation
shows it. `OPENVINO` is the file, `PRECISION` what it computes in.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from typing import Annotated, Any

import numpy as np
import openvino
import uvicorn
from fastapi import Body, FastAPI
from PIL import Image

app = FastAPI()
compiled = openvino.Core().compile_model(
    os.environ["OPENVINO"],
    "CPU",
    {"INFERENCE_PRECISION_HINT": os.environ["PRECISION"], "PERFORMANCE_HINT": "THROUGHPUT"},
)
own = threading.local()


def crop(body: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(body)).convert("RGB")
    scale = 256 / min(picture.size)
    width, height = (max(256, int(side * scale)) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - 224) / 2), round((height - 224) / 2)
    return np.asarray(picture.crop((left, top, left + 224, top + 224)))


@app.post("/predict")
def predict(body: Annotated[bytes, Body(media_type="image/jpeg")]) -> Any:
    if not hasattr(own, "request"):
        own.request = compiled.create_infer_request()
    return own.request.infer({0: crop(body)[None]})[0][0].tolist()


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
