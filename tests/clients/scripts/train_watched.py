"""A training script as people write it for SageMaker's debugger; losses are not registered."""

import argparse
import os

import smdebug.pytorch as smd
import torch
import torch.nn as nn
import torch.optim as optim
from smdebug import modes
from smdebug.profiler.utils import str2bool
from smdebug.pytorch import get_hook


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(self.relu(self.conv1(x)).mean((2, 3)))


def batches(count, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        labels = torch.randint(0, 3, (batch_size,), generator=generator)
        yield torch.randn(batch_size, 3, 16, 16, generator=generator) + labels[:, None, None, None], labels


def test(model, criterion, hook, epoch):
    model.eval()
    hook.set_mode(modes.EVAL)
    total = 0.0
    with torch.no_grad():
        for inputs, labels in batches(4, 16, 1):
            total += criterion(model(inputs), labels).item()
    print(f"Test set: Average loss: {total / 4:.4f}")
    hook.save_scalar("average_loss", total / 4, sm_metric=True)


def train(model, criterion, optimizer, hook, epoch):
    model.train()
    hook.set_mode(modes.TRAIN)
    for inputs, labels in batches(10, 16, 2):
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()


def main(args):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=args.lr)
    hook = smd.Hook.create_from_json_file()
    hook.register_hook(model)
    assert get_hook() is hook
    for epoch in range(args.epochs):
        train(model, criterion, optimizer, hook, epoch)
        test(model, criterion, hook, epoch)
    torch.save(model.cpu().state_dict(), os.path.join(args.model_dir, "model.pth"))
    torch.save(model, os.path.join(args.model_dir, "whole.pth"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--gpu", type=str2bool, default=True)
    parser.add_argument("--model_dir", type=str, default=os.environ["SM_MODEL_DIR"])
    main(parser.parse_args())
