"""A small training, and logs as readers see them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clary.debugger import Hook
from clary.formats.tensor_log import TensorLog


class Net(nn.Module):
    """Two uses of one ReLU, a parameter over 16,384 elements, one that is frozen."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.relu = nn.ReLU()
        self.tanh = nn.Tanh()
        self.wide = nn.Linear(8 * 36, 100)
        self.fc = nn.Linear(100, 4)
        self.fc.bias.requires_grad_(False)

    def forward(self, images):
        hidden = self.relu(self.conv(images)).flatten(1)
        return self.fc(self.tanh(self.relu(self.wide(hidden))))


class Trainer:
    """Trains `Net` on noise, step by step."""

    def __init__(self, net=None, loss=None):
        torch.manual_seed(0)
        self.net = net or Net()
        self.loss = loss or nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)
        self.losses = []

    def train(self, steps):
        self.net.train()
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = self.loss(self.net(torch.randn(8, 3, 8, 8)), torch.randint(0, 4, (8,)))
            loss.backward()
            self.optimizer.step()
            self.losses.append(float(loss))

    @torch.no_grad()
    def validate(self, steps):
        self.net.eval()
        for _ in range(steps):
            loss = self.loss(self.net(torch.randn(8, 3, 8, 8)), torch.randint(0, 4, (8,)))
            self.losses.append(float(loss))


@pytest.fixture
def trainer():
    return Trainer()


@pytest.fixture
def make_hook(tmp_path):
    """Makes hooks that write into one folder, and closes them."""
    hooks = []

    def make(*arguments, **words):
        hooks.append(Hook(words.pop("folder", tmp_path / "tensors"), *arguments, **words))
        return hooks[-1]

    yield make
    for hook in hooks:
        hook.close()


@pytest.fixture
def read(tmp_path):
    """Closes a hook and reads what it wrote."""

    def read_log(hook):
        hook.close()
        log = TensorLog(hook.folder)
        log.refresh()
        return log

    return read_log
