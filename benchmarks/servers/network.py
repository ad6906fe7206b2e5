"""The network that every peer serves: torchvision's, with the weights of a file, and its transform.

`NETWORK` is its name, `WEIGHTS` the file, `CLASSES` how many classes it has.
"""

from __future__ import annotations

import io
import os
from typing import Any

import torch
from PIL import Image
from torchvision import models, transforms

TRANSFORM = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


def load() -> Any:
    """The network, ready to answer."""
    network = models.get_model(os.environ["NETWORK"], num_classes=int(os.environ["CLASSES"]))
    network.load_state_dict(torch.load(os.environ["WEIGHTS"], weights_only=True))
    return network.eval()


def opened(body: bytes) -> torch.Tensor:
    """A picture file as the network takes it, (3, 224, 224)."""
    picture: torch.Tensor = TRANSFORM(Image.open(io.BytesIO(body)).convert("RGB"))
    return picture
