"""Small trainings that are made ill on purpose, and healthy ones beside them.

Each is an ordinary PyTorch loop over real pictures (CIFAR-10, classes cut to what an illness needs)
with a hook around it; only what makes it ill differs from the healthy one.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from clary.debugger import Collection, Hook, Schedule

INTERVAL = 5
CLASSES = 10
BATCH = 32
MEAN = torch.tensor([125.3, 123.0, 113.9]).view(3, 1, 1)
DEVIATION = torch.tensor([63.0, 62.1, 66.7]).view(3, 1, 1)


@dataclass(frozen=True)
class Pictures:
    """Images (N, 3, H, W) of 0..255 and labels (N)."""

    images: torch.Tensor
    labels: torch.Tensor

    def of(self, chosen: torch.Tensor) -> Pictures:
        return Pictures(self.images[chosen], self.labels[chosen])


def cifar(folder: Path, seed: int, train: int, valid: int) -> tuple[Pictures, Pictures]:
    """Random pictures of the batch files that CIFAR-10 comes in."""
    rng = torch.Generator().manual_seed(seed)
    parts = []
    for name, count in (("data_batch_1", train), ("test_batch", valid)):
        content = pickle.loads((folder / name).read_bytes(), encoding="bytes")
        images = torch.from_numpy(np.asarray(content[b"data"]).reshape(-1, 3, 32, 32))
        labels = torch.tensor(content[b"labels"])
        parts.append(
            Pictures(images, labels).of(torch.randperm(len(labels), generator=rng)[:count])
        )
    return parts[0], parts[1]


def normalized(images: torch.Tensor) -> torch.Tensor:
    """Of 0..255, with mean 0 and deviation 1, by CIFAR-10's own channels."""
    return (images.float() - MEAN) / DEVIATION


def convolutions() -> nn.Module:
    """A small network with normalisation, as one would train it."""
    layers: list[nn.Module] = []
    channels = 3
    for width in (16, 32, 64):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))


def perceptron(activation: type[nn.Module], *, depth: int = 2, width: int = 128) -> nn.Module:
    """Fully connected layers without normalisation."""
    layers: list[nn.Module] = [nn.Flatten()]
    features = 3 * 32 * 32
    for _ in range(depth):
        layers += [nn.Linear(features, width), activation()]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, CLASSES))


def with_biases(model: nn.Module, value: float) -> nn.Module:
    """The hidden layers' biases set to a value."""
    for module in list(model)[:-1]:  # type: ignore[call-overload]
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.bias, value)
    return model


def with_wide_weights(model: nn.Module) -> nn.Module:
    """Weights drawn with deviation 1, whatever the layer's width."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight)
    return model


@dataclass(frozen=True)
class Training:
    """What is trained, and how. `rules` are those that shall find what is wrong."""

    name: str
    rules: tuple[str, ...] = ()
    model: Callable[[], nn.Module] = convolutions
    prepare: Callable[[torch.Tensor], torch.Tensor] = normalized
    choose: Callable[[Pictures, torch.Generator], Pictures] = lambda pictures, _: pictures
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] = field(
        default=lambda model: torch.optim.Adam(model.parameters(), lr=2e-3)
    )
    train: int = 1280
    valid: int = 256
    epochs: int = 5
    warm_up: int = 1
    """So many steps until the learning rate is what the optimizer says."""


def shuffled(pictures: Pictures, rng: torch.Generator) -> Pictures:
    """Labels that have nothing to do with the pictures."""
    order = torch.randperm(len(pictures.labels), generator=rng)
    return Pictures(pictures.images, pictures.labels[order])


def imbalanced(pictures: Pictures, rng: torch.Generator) -> Pictures:
    """Two classes, one of them fifty times as large."""
    many, few = (torch.nonzero(pictures.labels == label).flatten() for label in (3, 5))
    drawn = many[torch.randint(len(many), (len(pictures.labels),), generator=rng)]
    rare = torch.randint(len(few), (max(1, len(drawn) // 51),), generator=rng)
    drawn[: len(rare)] = few[rare]
    return pictures.of(drawn)


def sgd(lr: float) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda model: torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


HEALTHY = (
    Training("healthy: convolutions, Adam"),
    Training("healthy: convolutions, SGD", optimizer=sgd(0.02)),
    # From the eleventh epoch on 1,280 pictures are learnt by heart, and rules are right to say so.
    Training("healthy: warm-up", optimizer=sgd(0.02), warm_up=400, epochs=10),
    Training("healthy: ReLU perceptron", model=lambda: perceptron(nn.ReLU), optimizer=sgd(0.005)),
    Training("healthy: tanh perceptron", model=lambda: perceptron(nn.Tanh), optimizer=sgd(0.005)),
)
ILL = (
    Training(
        "vanishing gradients (12 sigmoid layers)",
        ("VanishingGradient",),
        model=lambda: perceptron(nn.Sigmoid, depth=12, width=64),
        epochs=2,
    ),
    Training(
        "exploding loss (learning rate 2)",
        ("LossNotDecreasing", "ExplodingTensor"),
        model=lambda: perceptron(nn.ReLU),
        optimizer=sgd(2.0),
        epochs=2,
    ),
    Training(
        "dead ReLUs (biases of -20)",
        ("DeadRelu",),
        model=lambda: with_biases(perceptron(nn.ReLU), -20.0),
        epochs=2,
    ),
    Training(
        "saturated tanh (weights of deviation 1)",
        ("SaturatedActivation",),
        model=lambda: with_wide_weights(perceptron(nn.Tanh)),
        prepare=lambda images: images.float(),
        epochs=2,
    ),
    Training(
        "learning rate of zero",
        ("WeightUpdateRatio", "UnchangedTensor"),
        optimizer=sgd(0.0),
        epochs=2,
    ),
    Training("shuffled labels", ("LossNotDecreasing",), choose=shuffled, epochs=8),
    Training("overfit on 50 pictures", ("Overfit",), train=50, epochs=60),
    Training("imbalance 1:50", ("ClassImbalance",), choose=imbalanced, epochs=2),
    Training(
        "inputs that are not normalised",
        ("CheckInputImages",),
        prepare=lambda images: images.float() / 255,
        epochs=2,
    ),
)


def hook_for(folder: Path) -> Hook:
    """As a person would watch who wants to know: statistics every few steps, losses at each."""
    names = (
        "weights",
        "biases",
        "gradients",
        "activations",
        "input_image",
        "labels",
        "predictions",
    )
    return Hook(
        folder,
        collections=[Collection(name) for name in names],
        schedule=Schedule(INTERVAL),
    )


def batches(pictures: Pictures, rng: torch.Generator | None) -> Iterator[Pictures]:
    count = len(pictures.labels)
    order = torch.arange(count) if rng is None else torch.randperm(count, generator=rng)
    for start in range(0, count, BATCH):
        yield pictures.of(order[start : start + BATCH])


def run(training: Training, folder: Path, data: Path, seed: int) -> int:
    """Train under a hook; how many training steps that were."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    train, valid = cifar(data, seed, max(training.train, 1280), training.valid)
    train = training.choose(train, rng)
    train = train.of(torch.arange(min(training.train, len(train.labels))))
    valid = training.choose(valid, rng)
    model = training.model()
    optimizer = training.optimizer(model)
    warming = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / training.warm_up))
    hook = hook_for(folder)
    hook.watch(model)
    steps = 0
    for _ in range(training.epochs):
        model.train()
        for batch in batches(train, rng):
            loss = functional.cross_entropy(model(training.prepare(batch.images)), batch.labels)
            hook.record("labels", batch.labels, whole=True)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            warming.step()
            steps += 1
        model.eval()
        with torch.no_grad():
            for batch in batches(valid, None):
                logits = model(training.prepare(batch.images))
                functional.cross_entropy(logits, batch.labels)
                hook.record("labels", batch.labels, whole=True)
                hook.record("predictions", logits.argmax(1), whole=True)
    hook.close()
    return steps
