"""What lies before a person who reads: photos, new ones, weights, scripts, trained models.

All of it is small. The pretrained weights of ResNet-18 are random ones in the place where a
download would put them: commands name it as people do, and need no network.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clary.sdk.endpoint import Endpoint
from clary.sdk.endpoint_listing import list_endpoints
from clary.sdk.job_listing import list_jobs
from clary.sdk.session import Session
from clary.sdk.training_job import TrainingJob
from clary.sdk.tuning_job import TuningJob, list_tuning_jobs
from clary.settings import Settings
from tests.clients.environments import client_environment
from tests.conftest import make_picture, own_clary
from tests.docs.reader import INPUT_SIDE, Reader

FILES = Path(__file__).parent / "files"
CLASSES = ("ants", "bees")
PER_CLASS = {"train": 12, "val": 5}
SIDE = 48
# Two trainings that pages speak of, and the folder of a model and an archive made of them.
TRAININGS = ("photos-1", "photos-2")


@dataclass(frozen=True)
class Workshop:
    """A folder to type in, and the environment of the shell."""

    folder: Path
    environment: Mapping[str, str]
    notebook: Path

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Somebody who reads one page."""
        reader = Reader(self.folder, self.environment, self.notebook)
        try:
            yield reader
        finally:
            reader.close()
            self._clear()

    def _clear(self) -> None:
        """Leave the next reader what was there at first: endpoints and jobs of this one go."""
        # Where a page has stopped the service: in the reader's environment, not that of the tests.
        self._clary("start")
        settings = Settings.from_environment(self.environment)
        session = Session.on_this_machine(settings)
        for name in list_tuning_jobs(session):
            tuning = TuningJob(session, name)
            if not tuning.description().ended:
                tuning.stop()
                tuning.wait()
        for endpoint in list_endpoints(session):
            Endpoint(session, endpoint.name).delete()
        for found in list_jobs(session):
            job = TrainingJob(session, found.name)
            if not found.ended:
                job.stop()
                job.wait(poll_seconds=0.2)
            if found.name not in TRAININGS:
                job.delete()

    def _clary(self, *words: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "clary", *words],
            cwd=self.folder,
            env={**self.environment, "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"clary {' '.join(words)}\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    def train(self) -> None:
        """Make the models, the later one of a small network: to export it takes a few seconds."""
        quick = ("--image-size", str(INPUT_SIDE), "--skip-check", "--no-report")
        small = ("--model", "test_resnet", "--weights", "none")
        for name, network in zip(TRAININGS, ((), small), strict=True):
            self._clary("train", "photos/", "--name", name, *network, *quick)
        trained = Path(self.environment["CLARY_HOME"]) / "jobs" / TRAININGS[1]
        shutil.copy(trained / "output" / "model.tar.gz", self.folder / "better.tar.gz")


@contextmanager
def open_workshop(root: Path) -> Iterator[Workshop]:
    """Make a workshop; the service that is started there is stopped at the end."""
    person, folder = root / "person", root / "person" / "work"
    shutil.copytree(FILES, folder)
    _write_pictures(folder)
    _write_weights(person / ".cache" / "torch" / "hub" / "checkpoints", folder)
    _write_script_model(folder)
    programs = person / "bin"
    programs.mkdir()
    (programs / "aws").symlink_to(client_environment("awscli").command("aws"))
    notebook = client_environment("notebook")
    (person / "notebooks").symlink_to(notebook.root)
    with own_clary(person / ".clary") as environment:
        yield Workshop(
            folder=folder,
            environment={
                **environment,
                "HOME": str(person),
                "PATH": f"{programs}:{Path(sys.executable).parent}:{environment['PATH']}",
                "BROWSER": "true",
                "COLUMNS": "80",
                "HF_HUB_OFFLINE": "1",
                "MPLBACKEND": "agg",
                "SHELL": "/bin/bash",
                "TORCH_HOME": str(person / ".cache" / "torch"),
                "HF_HOME": str(person / ".cache" / "huggingface"),
            },
            notebook=notebook.python,
        )


def _write_pictures(folder: Path) -> None:
    number, pictures = 0, []
    for split, count in PER_CLASS.items():
        for label, name in enumerate(CLASSES):
            place = folder / "photos" / split / name
            place.mkdir(parents=True)
            for _ in range(count):
                number += 1
                path = place / f"{number:04}.jpg"
                make_picture(label, number, SIDE).save(path, quality=90)
                pictures.append((number, path.relative_to(folder)))
    (folder / "new").mkdir()
    for label, name in enumerate(("new/0001.jpg", "new/0002.jpg", "new.jpg", "picture.jpg")):
        make_picture(label % 2, 1000 + label, SIDE).save(folder / name, quality=90)
    shutil.copytree(folder / "photos", folder / "dogImages")
    rows = [f"{path},{path.parts[2]},{path.parts[1]},{number // 2}" for number, path in pictures]
    (folder / "photos.csv").write_text("\n".join(["path,label,split,animal", *rows]) + "\n")


def _write_weights(checkpoints: Path, folder: Path) -> None:
    import timm
    import torch
    from safetensors.torch import save_file
    from torchvision.models import mobilenet_v2

    checkpoints.mkdir(parents=True)
    torch.manual_seed(0)
    weights = timm.create_model("resnet18", pretrained=False).state_dict()
    save_file(weights, checkpoints / "resnet18.a1_in1k.safetensors")
    torch.save(mobilenet_v2(weights=None).state_dict(), folder / "mobilenet_v2.pth")


def _write_script_model(folder: Path) -> None:
    """An archive of people's own: a network that their `inference.py` is asked with."""
    import torch

    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIDE * SIDE, 2))
    torch.jit.script(model).save(str(folder / "model.pt"))
    with tarfile.open(folder / "mine.tar.gz", "w:gz") as archive:
        archive.add(folder / "model.pt", "model.pt")
