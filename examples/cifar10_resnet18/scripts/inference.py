"""How the endpoint loads the network and asks it: an array of 3 × 32 × 32 in, ten scores out."""

import os

import torch
from cifar10 import NORMALIZE, net


def model_fn(model_dir):
    model = net(pretrained=False)
    with open(os.path.join(model_dir, "model.pth"), "rb") as file:
        model.load_state_dict(torch.load(file, map_location="cpu"))
    return model.eval()


def predict_fn(image, model):
    with torch.no_grad():
        return model(NORMALIZE(image.float() / 255).unsqueeze(0))
