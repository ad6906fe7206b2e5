"""Serves the network of train_model.py: a photo in, its classes with their probabilities out."""

import io
import json
import os

import torch
import torchvision
import torchvision.transforms as T
from PIL import Image
from torch import nn

SIZE = int(os.environ.get("IMAGE_SIZE", "224"))
PREPARE = T.Compose(
    [
        T.Resize(SIZE + SIZE // 8),
        T.CenterCrop(SIZE),
        T.ToTensor(),
        T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)


def model_fn(model_dir):
    saved = torch.load(os.path.join(model_dir, "model.pth"), map_location="cpu")
    model = torchvision.models.mobilenet_v2(weights=None)
    model.classifier = nn.Sequential(
        nn.Dropout(0.2), nn.Linear(model.last_channel, len(saved["classes"]))
    )
    model.load_state_dict(saved["weights"])
    return model.eval(), saved["classes"]


def input_fn(body, content_type):
    return PREPARE(Image.open(io.BytesIO(body)).convert("RGB")).unsqueeze(0)


def predict_fn(inputs, model_and_classes):
    model, classes = model_and_classes
    with torch.no_grad():
        probabilities = model(inputs).softmax(1)[0].tolist()
    return dict(zip(classes, probabilities, strict=True))


def output_fn(prediction, accept):
    return json.dumps(prediction), "application/json"
