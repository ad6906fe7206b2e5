"""A training script as people write it who keep the network and train its last layer alone."""

import argparse
import logging
import os
import sys

import torch
import torch.nn as nn
import torch.optim as optim
from torchvision import datasets, models, transforms

logger = logging.getLogger(__name__)
logger.setLevel(logging.DEBUG)
logger.addHandler(logging.StreamHandler(sys.stdout))


def net(classes):
    model = models.mobilenet_v2(pretrained=True)
    for param in model.parameters():
        param.requires_grad = False
    model.classifier[1] = nn.Linear(model.last_channel, classes)
    return model


def features(model, data):
    found = []
    with torch.no_grad():
        for images, labels in torch.utils.data.DataLoader(data, batch_size=20):
            found.append((model.features(images).mean([2, 3]), labels))
    return torch.cat([each for each, _ in found]), torch.cat([each for _, each in found])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--data", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--model_dir", type=str, default=os.environ["SM_MODEL_DIR"])
    args = parser.parse_args()
    transform = transforms.Compose(
        [
            transforms.Resize((224, 224)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    train = datasets.ImageFolder(os.path.join(args.data, "train"), transform=transform)
    model = net(len(train.classes)).eval()
    inputs, labels = features(model, train)
    optimizer = optim.Adam(model.classifier[1].parameters(), lr=args.lr)
    for _ in range(args.epochs):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model.classifier[1](inputs), labels)
        loss.backward()
        optimizer.step()
    logger.info("Test set: Average loss: {:.4f}".format(loss.item()))
    torch.save(model.state_dict(), os.path.join(args.model_dir, "model.pth"))
