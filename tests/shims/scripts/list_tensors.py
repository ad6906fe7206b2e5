"""Trains a little under whichever `smdebug` is found, and lists all that its trial shows.

    python list_tensors.py FOLDER CASE RESULT.json

The expected results in `../data` were made by it with smdebug 1.0.34; see the README there.
"""

import json
import sys
from pathlib import Path

import numpy as np
import smdebug.pytorch as smd
import torch
import torch.nn.functional as F
from smdebug import modes
from smdebug.trials import create_trial
from torch import nn

REDUCTIONS = ("min", "max", "mean", "std", "variance", "sum", "prod", "l1", "l2")
CASES = {
    "whole": {
        "save_config": smd.SaveConfig(save_interval=2),
        "include_collections": ["weights", "gradients", "biases", "custom"],
        "include_regex": ["relu", "fc_input"],
    },
    "reductions": {
        "save_config": smd.SaveConfig(
            {
                modes.TRAIN: smd.SaveConfigMode(save_interval=3),
                modes.EVAL: smd.SaveConfigMode(save_interval=1, end_step=4),
            }
        ),
        "include_collections": ["weights", "gradients"],
        "reduction_config": smd.ReductionConfig(
            list(REDUCTIONS[:7]), ["mean", "max"], ["l1", "l2"]
        ),
    },
    "default": {},
    "save_all": {
        "save_all": True,
        "save_config": smd.SaveConfig(save_steps=[1, 4], save_interval=100),
    },
}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU())
        self.fc = nn.Linear(4, 3)

    def forward(self, pictures):
        pictures = self.relu(self.bn(self.conv(pictures)))
        pictures = self.relu(self.body(pictures))
        return self.fc(pictures.mean((2, 3)))


def train(folder, case):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Net()
    model.bn.weight.requires_grad = False
    hook = smd.Hook(folder, **CASES[case])
    hook.register_hook(model)
    if case == "whole":  # after it was registered, as scripts do
        hook.get_collection("custom").include("bn_output")
    criterion = nn.CrossEntropyLoss()
    hook.register_loss(criterion)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    generator = torch.Generator().manual_seed(1)

    def batch():
        pictures = torch.randn(6, 3, 8, 8, generator=generator)
        return pictures, torch.randint(0, 3, (6,), generator=generator)

    for _ in range(2):
        model.train()
        if case != "default":
            hook.set_mode(modes.TRAIN)
        for _ in range(5):
            pictures, labels = batch()
            optimizer.zero_grad()
            outputs = model(pictures)
            loss = criterion(outputs, labels)
            if case == "whole":
                hook.save_tensor("mine", pictures[:1].mean((2, 3)), "custom")
                hook.record_tensor_value("my_loss", F.softplus(loss.detach()))
            loss.backward()
            optimizer.step()
        model.eval()
        if case != "default":
            hook.set_mode(modes.EVAL)
        with torch.no_grad():
            for _ in range(3):
                pictures, labels = batch()
                criterion(model(pictures), labels)
    hook.close()


def described(tensor, step, mode, reduced):
    if not reduced:
        value = tensor.value(step, mode=mode)
        return [list(value.shape), str(value.dtype), float(np.abs(value).sum())]
    found = {name: float(tensor.reduction_value(step, name, mode)) for name in REDUCTIONS}
    for name in ("mean", "max"):
        found[f"abs_{name}"] = float(tensor.reduction_value(step, name, mode, abs=True))
    return found


def listing(folder, reduced):
    trial = create_trial(folder)
    tensors = {}
    for name in trial.tensor_names():
        tensor = trial.tensor(name)
        tensors[name] = {
            mode.name: {
                step: described(tensor, step, mode, reduced and "Loss" not in name)
                for step in tensor.steps(mode=mode)
            }
            for mode in (modes.TRAIN, modes.EVAL, modes.GLOBAL)
        }
    return {
        "steps": {mode.name: trial.steps(mode=mode) for mode in modes},
        "modes": sorted(mode.name for mode in trial.modes()),
        "workers": trial.workers(),
        "collections": {
            name: trial.tensor_names(collection=name) for name in sorted(trial.collections())
        },
        "members": {
            name: sorted(collection.tensor_names)
            for name, collection in sorted(trial.collections().items())
        },
        "mode_steps": [[trial.mode(step).name, trial.mode_step(step)] for step in trial.steps()],
        "tensors": tensors,
    }


if __name__ == "__main__":
    FOLDER, CASE, RESULT = sys.argv[1:]
    train(FOLDER, CASE)
    RESULT = Path(RESULT)
    RESULT.write_text(json.dumps(listing(FOLDER, CASE == "reductions"), sort_keys=True))
