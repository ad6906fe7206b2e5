"""Handlers as people write them: a picture or JSON with one in, the default output."""

import base64
import io
import json
import logging
import os
import sys

import torch
import torch.nn as nn
from PIL import Image
from torchvision import transforms

logger = logging.getLogger(__name__)
logger.setLevel(logging.DEBUG)
logger.addHandler(logging.StreamHandler(sys.stdout))

JPEG_CONTENT_TYPE = "image/jpeg"
JSON_CONTENT_TYPE = "application/json"


def net(classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes))


def model_fn(model_dir):
    print("In model_fn. Model directory is -", model_dir)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with open(os.path.join(model_dir, "model.pth"), "rb") as f:
        state = torch.load(f, map_location=device)
    model = net(len(state["2.bias"])).to(device)
    model.load_state_dict(state)
    model.eval()
    return model


def input_fn(request_body, content_type=JPEG_CONTENT_TYPE):
    logger.info("Deserializing the input data. CONTENT-TYPE is: %s", content_type)
    if content_type == JPEG_CONTENT_TYPE:
        return Image.open(io.BytesIO(request_body))
    if content_type == JSON_CONTENT_TYPE:
        request = json.loads(request_body)
        return Image.open(io.BytesIO(base64.b64decode(request["image"])))
    raise Exception("Requested unsupported ContentType in content_type: {}".format(content_type))


def predict_fn(input_object, model):
    transform = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()])
    with torch.no_grad():
        return model(transform(input_object).unsqueeze(0))
