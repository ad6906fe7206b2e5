"""Trains with the best hyperparameters while the debugger watches."""

import argparse
import logging
import os
import sys

import smdebug.pytorch as smd
import torch
from cifar10 import create_data_loaders, net
from torch import nn, optim

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)
logger.addHandler(logging.StreamHandler(sys.stdout))


def train(model, train_loader, criterion, optimizer, hook, device):
    model.train()
    hook.set_mode(smd.modes.TRAIN)
    for images, labels in train_loader:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()


def test(model, test_loader, criterion, hook, device):
    model.eval()
    hook.set_mode(smd.modes.EVAL)
    loss, correct = 0.0, 0
    with torch.no_grad():
        for images, labels in test_loader:
            images, labels = images.to(device), labels.to(device)
            outputs = model(images)
            loss += criterion(outputs, labels).item() * len(images)
            correct += (outputs.argmax(1) == labels).sum().item()
    count = len(test_loader.dataset)
    logger.info(f"Test set: Average loss: {loss / count:.4f}, Accuracy: {correct}/{count}")


def main(args):
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_loader, test_loader = create_data_loaders(args.data_dir, args.batch_size)
    model = net(pretrained=True).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    hook = smd.Hook.create_from_json_file()
    hook.register_module(model)
    hook.register_loss(criterion)
    for epoch in range(1, args.epochs + 1):
        logger.info(f"Epoch {epoch} of {args.epochs}")
        train(model, train_loader, criterion, optimizer, hook, device)
        test(model, test_loader, criterion, hook, device)
    torch.save(model.state_dict(), os.path.join(args.model_dir, "model.pth"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--data_dir", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--model_dir", type=str, default=os.environ["SM_MODEL_DIR"])
    main(parser.parse_args())
