"""One trial of the tuning job: trains, and prints the loss that is compared."""

import argparse
import os

import torch
from cifar10 import create_data_loaders, net
from torch import nn, optim


def train(model, train_loader, criterion, optimizer, device):
    model.train()
    for images, labels in train_loader:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()


def test(model, test_loader, criterion, device):
    model.eval()
    loss, correct = 0.0, 0
    with torch.no_grad():
        for images, labels in test_loader:
            images, labels = images.to(device), labels.to(device)
            outputs = model(images)
            loss += criterion(outputs, labels).item() * len(images)
            correct += (outputs.argmax(1) == labels).sum().item()
    count = len(test_loader.dataset)
    print(f"Test set: Average loss: {loss / count:.4f}, Accuracy: {correct}/{count}")


def main(args):
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_loader, test_loader = create_data_loaders(args.data_dir, args.batch_size)
    model = net(pretrained=True).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    for _ in range(args.epochs):
        train(model, train_loader, criterion, optimizer, device)
        test(model, test_loader, criterion, device)
    torch.save(model.state_dict(), os.path.join(args.model_dir, "model.pth"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--data_dir", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--model_dir", type=str, default=os.environ["SM_MODEL_DIR"])
    main(parser.parse_args())
