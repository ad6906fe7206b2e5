"""Trains two fully connected layers on a frozen ResNet-50, and records every loss."""

import argparse
import logging
import os
import sys

import smdebug.pytorch as smd
import torch
from torch import nn, optim
from torchvision import datasets, models, transforms

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)
logger.addHandler(logging.StreamHandler(sys.stdout))

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def net(num_classes):
    model = models.resnet50(pretrained=True)
    for param in model.parameters():
        param.requires_grad = False
    model.fc = nn.Sequential(
        nn.Linear(model.fc.in_features, 256), nn.ReLU(), nn.Linear(256, num_classes)
    )
    return model


def create_data_loader(folder, image_size, batch_size, training):
    size = (image_size, image_size)
    if training:
        changes = [transforms.RandomResizedCrop(size, (0.6, 1)), transforms.RandomHorizontalFlip()]
    else:
        changes = [transforms.Resize(size)]
    transform = transforms.Compose(
        [*changes, transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    )
    dataset = datasets.ImageFolder(folder, transform=transform)
    return torch.utils.data.DataLoader(dataset, batch_size=batch_size, shuffle=training)


def train(model, loader, criterion, optimizer, hook, device):
    hook.set_mode(smd.modes.TRAIN)
    model.train()
    total = 0.0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(images)
    logger.info("Training Loss: %.4f", total / len(loader.dataset))


def evaluate(model, loader, criterion, hook, device, mode, phase):
    hook.set_mode(mode)
    model.eval()
    total, right = 0.0, 0
    with torch.no_grad():
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            logits = model(images)
            total += criterion(logits, labels).item() * len(images)
            right += (logits.argmax(1) == labels).sum().item()
    count = len(loader.dataset)
    logger.info("%s Loss: %.4f, Accuracy: %d/%d", phase, total / count, right, count)


def main(args):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    logger.info("Hyperparameters: %s", vars(args))
    train_loader, valid_loader, test_loader = (
        create_data_loader(
            os.path.join(args.data, split), args.image_size, args.batch_size, split == "train"
        )
        for split in ("train", "valid", "test")
    )
    model = net(len(train_loader.dataset.classes)).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.AdamW(
        model.fc.parameters(), lr=args.lr, eps=args.eps, weight_decay=args.weight_decay
    )
    hook = smd.Hook.create_from_json_file()
    hook.register_module(model)
    hook.register_loss(criterion)
    for _ in range(args.epochs):
        train(model, train_loader, criterion, optimizer, hook, device)
        evaluate(model, valid_loader, criterion, hook, device, smd.modes.EVAL, "Validation")
    evaluate(model, test_loader, criterion, hook, device, smd.modes.PREDICT, "Testing")
    torch.save(model.state_dict(), os.path.join(args.model_dir, "model.pth"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--eps", type=float, default=1e-8)
    parser.add_argument("--weight_decay", type=float, default=0.01)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--data", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--model_dir", type=str, default=os.environ["SM_MODEL_DIR"])
    main(parser.parse_args())
