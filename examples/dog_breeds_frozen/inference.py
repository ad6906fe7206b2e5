"""Serves the network of train_model.py: a photo in, a probability for each breed out."""

import io
import os

import torch
import torchvision
import torchvision.transforms as T
from PIL import Image
from torch import nn


def model_fn(model_dir):
    head = torch.load(os.path.join(model_dir, "head.pth"), map_location="cpu")
    model = torchvision.models.resnet50(weights="IMAGENET1K_V2")
    model.fc = nn.Sequential(
        nn.Linear(2048, 128), nn.ReLU(inplace=True), nn.Linear(128, len(head["2.bias"]))
    )
    model.fc.load_state_dict(head)
    return model.eval()


def input_fn(body, content_type):
    size = int(os.environ.get("IMAGE_SIZE", "224"))
    transform = T.Compose(
        [
            T.Resize((size, size)),
            T.ToTensor(),
            T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    return transform(Image.open(io.BytesIO(body)).convert("RGB")).unsqueeze(0)


def predict_fn(inputs, model):
    with torch.no_grad():
        return model(inputs).softmax(1)
