"""A training script whose model is over quickly: the mean colour of a picture tells its class."""

import argparse
import os

import torch
import torch.nn as nn
import torch.optim as optim
from torchvision import datasets, transforms


def net(classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes))


def model_fn(model_dir):
    state = torch.load(os.path.join(model_dir, "model.pth"))
    model = net(len(state["2.bias"]))
    model.load_state_dict(state)
    return model


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--model_dir", type=str, default=os.environ["SM_MODEL_DIR"])
    args = parser.parse_args()
    transform = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()])
    data = datasets.ImageFolder(args.data, transform=transform)
    images, labels = next(iter(torch.utils.data.DataLoader(data, batch_size=len(data))))
    model = net(len(data.classes))
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    print(f"Test set: Average loss: {loss.item():.4f}")
    torch.save(model.state_dict(), os.path.join(args.model_dir, "model.pth"))
