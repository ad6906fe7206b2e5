"""The usual torchvision fine-tuning script, as people write it: the contestant that Clary meets.

Written for this benchmark after the shape that tutorials share: ImageFolder, Pillow, version 1
transforms, DataLoader, fp32, Adam, CrossEntropyLoss, a validation pass after every epoch. It
knows nothing of bf16, memory formats or caches, as such scripts don't. The two callbacks of
`fit` are all that the benchmark added.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn, optim
from torch.utils.data import DataLoader
from torchvision import datasets, models, transforms

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def nothing(*_: object) -> None:
    """Stand in for a callback that nobody gave."""


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fine-tune a torchvision network.")
    parser.add_argument("data", type=Path, help="a folder with train/ and val/")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--weights", type=Path, help="a state dict to start from")
    parser.add_argument("--freeze", action="store_true", help="train the last layer only")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def build_loaders(args: argparse.Namespace) -> tuple[DataLoader, DataLoader]:
    train_transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    valid_transform = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    train_set = datasets.ImageFolder(args.data / "train", train_transform)
    valid_set = datasets.ImageFolder(args.data / "val", valid_transform)
    return (
        DataLoader(train_set, args.batch_size, shuffle=True, num_workers=args.workers),
        DataLoader(valid_set, args.batch_size, num_workers=args.workers),
    )


def build_model(args: argparse.Namespace, classes: int) -> nn.Module:
    model = getattr(models, args.model)(weights=None)
    if args.weights:
        model.load_state_dict(torch.load(args.weights))
    if args.freeze:
        for parameter in model.parameters():
            parameter.requires_grad = False
    model.fc = nn.Linear(model.fc.in_features, classes)
    return model


def fit(
    args: argparse.Namespace,
    *,
    before_epoch: Callable[[], None] = nothing,
    after_batch: Callable[[int], None] = nothing,
    after_epoch: Callable[[float, float], None] = nothing,
) -> None:
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_loader, valid_loader = build_loaders(args)
    model = build_model(args, len(train_loader.dataset.classes)).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam([p for p in model.parameters() if p.requires_grad], lr=args.lr)

    for epoch in range(args.epochs):
        before_epoch()
        start = time.perf_counter()
        model.train()
        running_loss, running_correct = 0.0, 0
        for images, labels in train_loader:
            images, labels = images.to(device), labels.to(device)  # noqa: PLW2901
            optimizer.zero_grad()
            outputs = model(images)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item() * images.size(0)
            running_correct += (outputs.argmax(1) == labels).sum().item()
            after_batch(images.size(0))
        train_loss = running_loss / len(train_loader.dataset)

        model.eval()
        valid_loss, valid_correct = 0.0, 0
        with torch.no_grad():
            for images, labels in valid_loader:
                images, labels = images.to(device), labels.to(device)  # noqa: PLW2901
                outputs = model(images)
                valid_loss += criterion(outputs, labels).item() * images.size(0)
                valid_correct += (outputs.argmax(1) == labels).sum().item()
        seconds = time.perf_counter() - start
        print(
            f"epoch {epoch + 1}/{args.epochs} train loss {train_loss:.4f} "
            f"valid loss {valid_loss / len(valid_loader.dataset):.4f} "
            f"accuracy {valid_correct / len(valid_loader.dataset):.4f} {seconds:.1f} s",
            flush=True,
        )
        after_epoch(seconds, train_loss)


if __name__ == "__main__":
    fit(parse_arguments())
