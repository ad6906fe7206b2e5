"""One network for all servers of a race: as a model of Clary's, converted, and for torchvision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from clary.formats.model_archive import Architecture, ModelDescription
from clary.formats.preprocessing import Preprocessing
from clary.vision.models import save_model
from clary.vision.models.storage import build_described

CLASSES = 20


def make_models(network: str, photos: Path, work: Path, *, int8: bool) -> Mapping[str, str]:
    """Make the network's files: `model`, `converted`, `weights`, `fp32` and, asked for, `int8`.

    Its weights are drawn: what a server is asked to compute does not depend on them.
    """
    torch.manual_seed(0)
    description = ModelDescription(
        architecture=Architecture(name=network),
        classes=tuple(f"class {number}" for number in range(CLASSES)),
        preprocessing=Preprocessing(),
    )
    classifier = build_described(description).eval()
    model = work / "model"
    save_model(model, classifier, description)
    state = {}
    for name, value in classifier.state_dict().items():
        part, _, rest = name.partition(".")
        state[rest if part == "backbone" else f"fc.{rest.rpartition('.')[2]}"] = value
    weights = work / "weights.pth"
    torch.save(state, weights)
    home = {**os.environ, "CLARY_HOME": str(work / "home")}
    command = [sys.executable, "-m", "clary.jobs.convert", str(model), "--json"]
    asked = [("fp32", ())]
    if int8:
        asked.append(("int8", ("--calibrate", str(photos / "train"))))
    found = {"model": str(model), "weights": str(weights)}
    for precision, more in asked:
        said = subprocess.run(
            [*command, "--precision", precision, *more],
            env=home,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.splitlines()[-1]
        found["converted"] = json.loads(said)["folder"]
        found[precision] = str(Path(found["converted"]) / f"{precision}.xml")
    return found
