"""Writes `log/` and `expected.json` with smdebug 1.0.34; see README.md."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import smdebug.pytorch as smd
import torch
from smdebug.trials import create_trial
from torch import nn

HERE = Path(__file__).parent


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(2 * 6 * 6, 3)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.fc(self.relu(self.conv(pictures)).flatten(1))


def train(out_dir: str) -> None:
    torch.manual_seed(0)
    hook = smd.Hook(
        out_dir=out_dir,
        save_config=smd.SaveConfig(save_interval=2),
        include_collections=["losses", "weights", "gradients", "relu", "shapes"],
    )
    hook.get_collection("gradients").reduction_config = smd.ReductionConfig(
        reductions=["min", "max", "mean", "variance"],
        abs_reductions=["min", "max", "mean", "sum"],
        norms=["l2"],
        save_shape=True,
    )
    hook.get_collection("shapes").include("conv_output")
    hook.get_collection("shapes").reduction_config = smd.ReductionConfig(save_shape=True)
    hook.get_collection("relu").include("relu_output")
    model, loss = Net(), nn.CrossEntropyLoss()
    hook.register_module(model)
    hook.register_loss(loss)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pictures, labels = torch.randn(8, 1, 8, 8), torch.arange(8) % 3
    for _ in range(2):
        hook.set_mode(smd.modes.TRAIN)
        for _ in range(4):
            optimizer.zero_grad()
            loss(model(pictures), labels).backward()
            optimizer.step()
        hook.set_mode(smd.modes.EVAL)
        with torch.no_grad():
            for _ in range(2):
                loss(model(pictures), labels)
        hook.save_tensor("counts", np.arange(6, dtype=np.int64).reshape(2, 3), "weights")
    hook.save_scalar("accuracy", 0.75, sm_metric=False)
    hook.close()


def expected(out_dir: str) -> dict[str, object]:
    trial = create_trial(out_dir)
    modes = (smd.modes.TRAIN, smd.modes.EVAL, smd.modes.GLOBAL)
    found: dict[str, object] = {}
    for name in sorted(trial.tensor_names()):
        tensor = trial.tensor(name)
        held: dict[str, object] = {
            "steps": {mode.name: list(map(int, tensor.steps(mode=mode))) for mode in modes}
        }
        reductions = {
            step: {
                f"{'abs_' if absolute else ''}{reduction}": float(value)
                for (reduction, absolute), value in tensor.reduction_values(step).items()
            }
            for step in tensor.steps()
        }
        if name == "conv_output_0":
            held["shapes"] = {step: list(tensor.shape(step)) for step in tensor.steps()}
        elif any(reductions.values()):
            held["reductions"] = reductions
        else:
            held["values"] = {step: tensor.value(step).tolist() for step in tensor.steps()}
            held["dtype"] = str(tensor.value(tensor.steps()[0]).dtype)
        found[name] = held
    return {
        "tensors": found,
        "steps": {mode.name: list(map(int, trial.steps(mode=mode))) for mode in modes},
        "collections": {
            name: sorted(trial.tensor_names(collection=name))
            for name in ("losses", "weights", "gradients", "relu")
        },
    }


if __name__ == "__main__":
    log = HERE / "log"
    shutil.rmtree(log, ignore_errors=True)
    train(str(log))
    (HERE / "expected.json").write_text(json.dumps(expected(str(log))) + "\n")
