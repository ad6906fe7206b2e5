"""How the endpoint loads the network and asks it: rows of 3,072 numbers in, scores out."""

import os

import torch
from cifar10 import as_images
from network import net


def model_fn(model_dir):
    model = net(trainable_layers=0, pretrained=False)
    with open(os.path.join(model_dir, "model.pth"), "rb") as file:
        model.load_state_dict(torch.load(file, map_location="cpu"))
    return model.eval()


def predict_fn(rows, model):
    with torch.no_grad():
        return torch.softmax(model(as_images(rows)), dim=1)
