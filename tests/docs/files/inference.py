import io

import numpy as np
import torch
from PIL import Image


def input_fn(body, content_type):
    assert content_type == "image/jpeg", content_type
    pixels = np.asarray(Image.open(io.BytesIO(body)).resize((48, 48)), dtype=np.float32)
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy() / 255)
