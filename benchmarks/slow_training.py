"""An ordinary training script that can be made slow on purpose; it knows nothing of a profiler.

    python benchmarks/slow_training.py PICTURES [--workers N] [--sleep-ms MS] [--leak-mb MB] …

ResNet-18 on a folder of pictures with a folder per class, as people write it. At the end it says
how long its loop took and how many pictures it trained on, as a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import datasets, models, transforms

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Slow(Dataset):
    """Pictures that take their time."""

    def __init__(self, pictures: Dataset, sleep_s: float) -> None:
        self.pictures = pictures
        self.sleep_s = sleep_s

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        if self.sleep_s:
            time.sleep(self.sleep_s)
        return self.pictures[number]


def evaluate(model: nn.Module, loader: DataLoader) -> float:
    """Accuracy."""
    model.eval()
    right = total = 0
    with torch.no_grad():
        for images, labels in loader:
            right += int((model(images).argmax(1) == labels).sum())
            total += len(labels)
    model.train()
    return right / max(1, total)


def parse() -> argparse.Namespace:
    """The options; all that are not given make it fast."""
    parser = argparse.ArgumentParser()
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--sleep-ms", type=float, default=0.0)
    parser.add_argument("--leak-mb", type=float, default=0.0)
    parser.add_argument("--evaluate-every", type=int, default=0)
    parser.add_argument("--save-every", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Train."""
    options = parse()
    torch.manual_seed(0)
    changed = transforms.Compose(
        [
            transforms.RandomResizedCrop(options.image_size),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, DEVIATION),
        ]
    )
    folder = datasets.ImageFolder(str(options.pictures), changed)
    pictures = Slow(folder, options.sleep_ms / 1000)
    loader = DataLoader(
        pictures,
        batch_size=options.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
    )
    valid = DataLoader(Subset(folder, range(min(len(folder), 128))), batch_size=16)
    model = models.resnet18(num_classes=len(folder.classes))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    kept = []
    step = trained = 0
    began = time.perf_counter()
    while step < options.steps:
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            step += 1
            trained += len(labels)
            if options.leak_mb:
                kept.append(torch.ones(int(options.leak_mb * 250_000)))
            if options.evaluate_every and step % options.evaluate_every == 0:
                evaluate(model, valid)
            if options.save_every and step % options.save_every == 0:
                with tempfile.TemporaryDirectory() as place:
                    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
                    torch.save(state, Path(place) / "checkpoint.pt")
            if step == options.steps:
                break
    seconds = time.perf_counter() - began
    evaluate(model, valid)
    print(json.dumps({"seconds": seconds, "pictures": trained, "steps": step}), flush=True)


if __name__ == "__main__":
    main()
