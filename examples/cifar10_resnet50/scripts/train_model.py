"""Fine-tunes a ResNet-50 on CIFAR-10, from ImageNet's weights or from those of an earlier job."""

import argparse
import logging
import os
import sys
import tempfile

import smdebug.pytorch as smd
import torch
from cifar10 import create_data_loaders, download_batches, download_weights
from network import net
from torch import nn, optim

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)
logger.addHandler(logging.StreamHandler(sys.stdout))


def train(model, train_loader, criterion, optimizer, hook, device):
    model.train()
    hook.set_mode(smd.modes.TRAIN)
    running_loss = 0.0
    for images, labels in train_loader:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    logger.info(f"Training Loss: {running_loss / len(train_loader):.4f}")


def test(model, test_loader, criterion, hook, device):
    model.eval()
    hook.set_mode(smd.modes.EVAL)
    running_loss, correct = 0.0, 0
    with torch.no_grad():
        for images, labels in test_loader:
            images, labels = images.to(device), labels.to(device)
            outputs = model(images)
            running_loss += criterion(outputs, labels).item() * len(images)
            correct += (outputs.argmax(1) == labels).sum().item()
    count = len(test_loader.dataset)
    logger.info(f"Testing Loss: {running_loss / count:.4f}")
    logger.info(f"Testing Accuracy: {100 * correct / count:.2f}")


def main(args):
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        download_batches(args.bucket, args.prefix, folder)
        train_loader, test_loader = create_data_loaders(folder, args.batch_size)
        model = net(args.trainable_layers, args.dropout)
        if args.weight_path:
            logger.info(f"Going on from {args.weight_path}")
            model.load_state_dict(torch.load(download_weights(args.weight_path, folder)))
    model = model.to(device)
    criterion = nn.CrossEntropyLoss()
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = optim.Adam(learning, lr=args.lr)
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
    parser.add_argument("--bucket", type=str, required=True)
    parser.add_argument("--prefix", type=str, required=True)
    parser.add_argument("--weight_path", type=str, default="")
    parser.add_argument("--trainable_layers", type=int, default=1)
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--model_dir", type=str, default=os.environ["SM_MODEL_DIR"])
    main(parser.parse_args())
