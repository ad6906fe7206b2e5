"""Handlers of the endpoint: the bytes of an image in, the list of 133 scores out."""

import io
import json
import logging
import os
import sys

import torch
from PIL import Image
from torch import nn
from torchvision import models, transforms

logger = logging.getLogger(__name__)
logger.setLevel(logging.DEBUG)
logger.addHandler(logging.StreamHandler(sys.stdout))

NUM_CLASSES = 133
IMAGE_SIZE = int(os.environ.get("IMAGE_SIZE", "224"))


def net():
    model = models.mobilenet_v2(pretrained=True)
    model.classifier[1] = nn.Linear(model.last_channel, NUM_CLASSES)
    return model


def model_fn(model_dir):
    logger.info("Loading the model from %s", model_dir)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = net().to(device)
    with open(os.path.join(model_dir, "model.pth"), "rb") as file:
        model.load_state_dict(torch.load(file, map_location=device))
    return model.eval()


def input_fn(request_body, content_type="image/jpeg"):
    logger.info("A request of %d bytes of %s", len(request_body), content_type)
    if content_type in ("image/jpeg", "image/png"):
        return Image.open(io.BytesIO(request_body)).convert("RGB")
    raise ValueError(f"This endpoint takes image/jpeg and image/png, not {content_type}")


def predict_fn(image, model):
    transform = transforms.Compose(
        [
            transforms.Resize((IMAGE_SIZE, IMAGE_SIZE)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    device = next(model.parameters()).device
    with torch.no_grad():
        return model(transform(image).unsqueeze(0).to(device))[0]


def output_fn(prediction, accept="application/json"):
    return json.dumps(prediction.tolist()), accept
