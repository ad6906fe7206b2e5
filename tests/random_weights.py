"""Fills a torch hub cache with random weights: random_weights.py DIR, then TORCH_HOME=DIR.

Enough to run scripts offline that ask torchvision for pretrained networks by name.
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torchvision import models

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2", "squeezenet1_1")

folder = Path(sys.argv[1]) / "hub" / "checkpoints"
folder.mkdir(parents=True, exist_ok=True)
for network in NETWORKS:
    torch.manual_seed(0)
    state = models.get_model(network, weights=None).state_dict()
    for weights in models.get_model_weights(network):
        torch.save(state, folder / Path(urlsplit(weights.url).path).name)
