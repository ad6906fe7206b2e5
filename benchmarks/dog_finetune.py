"""A healthy fine-tuning of torchvision's mobilenet_v2 on pictures of dogs, under a hook."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.models import mobilenet_v2

from ill_trainings import Pictures, batches, hook_for

SIDE = 128
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


@lru_cache(maxsize=4)
def dogs(folder: Path, per_class: int) -> tuple[Pictures, int]:
    """Pictures of a folder of class folders, `per_class` of each, cut square."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    images, labels = [], []
    for label, place in enumerate(classes):
        for path in sorted(place.iterdir())[:per_class]:
            picture = Image.open(path).convert("RGB")
            picture.thumbnail((2 * SIDE, 2 * SIDE))
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            square = picture.resize((SIDE, SIDE), box=(left, top, left + side, top + side))
            images.append(np.asarray(square).transpose(2, 0, 1))
            labels.append(label)
    return Pictures(torch.from_numpy(np.stack(images)), torch.tensor(labels)), len(classes)


def prepare(images: torch.Tensor) -> torch.Tensor:
    prepared = (images.float() / 255 - MEAN) / DEVIATION
    return prepared.contiguous(memory_format=torch.channels_last)


def finetune(folder: Path, data: Path, weights: Path, seed: int, *, quick: bool) -> int:
    """Train the whole network, the head at a higher rate; how many training steps that were."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    train, classes = dogs(data / "train", 5 if quick else 32)
    valid, _ = dogs(data / "valid", 1 if quick else 6)
    model = mobilenet_v2()
    model.load_state_dict(torch.load(weights, weights_only=True))
    model.classifier[1] = nn.Linear(model.last_channel, classes)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    epochs = 2 if quick else 4
    per_epoch = -(-len(train.labels) // 32)
    optimizer = torch.optim.AdamW(
        [
            {"params": model.features.parameters(), "lr": 1e-4},
            {"params": model.classifier.parameters(), "lr": 2e-3},
        ]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * per_epoch)
    criterion = nn.CrossEntropyLoss()
    hook = hook_for(folder)
    hook.watch(model)
    steps = 0
    for _ in range(epochs):
        model.train()
        for batch in batches(train, rng):
            flipped = batch.images.flip(3) if steps % 2 else batch.images
            with torch.autocast("cpu", torch.bfloat16):
                loss = criterion(model(prepare(flipped)), batch.labels)
            hook.record("labels", batch.labels, whole=True)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            steps += 1
        model.eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            for batch in batches(valid, None):
                logits = model(prepare(batch.images))
                criterion(logits, batch.labels)
                hook.record("labels", batch.labels, whole=True)
                hook.record("predictions", logits.argmax(1), whole=True)
    hook.close()
    return steps
