"""Answers a JPEG with one score for each breed."""

import io
import os

import torch
from PIL import Image
from torch import nn
from torchvision import models, transforms

IMAGE_SIZE = int(os.environ.get("IMAGE_SIZE", "224"))
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def net(num_classes):
    model = models.resnet50(pretrained=True)
    model.fc = nn.Sequential(
        nn.Linear(model.fc.in_features, 256), nn.ReLU(), nn.Linear(256, num_classes)
    )
    return model


def model_fn(model_dir):
    state = torch.load(os.path.join(model_dir, "model.pth"), map_location=DEVICE)
    model = net(len(state["fc.2.bias"]))
    model.load_state_dict(state)
    return model.to(DEVICE).eval()


def input_fn(request_body, content_type):
    if content_type != "image/jpeg":
        raise ValueError(f"send image/jpeg, not {content_type}")
    return Image.open(io.BytesIO(request_body)).convert("RGB")


def predict_fn(image, model):
    transform = transforms.Compose(
        [
            transforms.Resize((IMAGE_SIZE, IMAGE_SIZE)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    with torch.no_grad():
        return model(transform(image).unsqueeze(0).to(DEVICE)).softmax(1)
