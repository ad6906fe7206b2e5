"""Builders shared by the tests: made-up pictures that can be learned, and the real data."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from PIL import Image

from clary.cores import usable_cores
from clary.formats.service_record import ServiceRecord
from clary.sdk import office
from clary.sdk.endpoint import Endpoint
from clary.sdk.endpoint_listing import list_endpoints
from clary.sdk.job_listing import list_jobs
from clary.sdk.session import Session
from clary.sdk.training_job import TrainingJob
from clary.sdk.tuning_job import TuningJob, list_tuning_jobs
from clary.settings import Settings
from tests.examples.stages import pytest_addoption, pytest_terminal_summary

__all__ = ["pytest_addoption", "pytest_terminal_summary"]

SHARED = Path(__file__).resolve().parents[2] / "shared"

# Hundreds of processes are started here, and each would compile Clary's source anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Torch writes down all that it compiles and exports, stacks included, as soon as somebody listens:
# pytest does, to every logger that does not propagate.
logging.getLogger("torch.__trace").addHandler = lambda handler: None  # type: ignore[method-assign]

# A test holds on a machine that is slow and busy: no example of it is timed. Who works on Clary
# draws others each time; whether a change may land does not depend on what was drawn.
hypothesis_settings.register_profile(
    "unhurried",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("unhurried")

PictureFolder = Callable[..., Path]

# What a process that runs tests takes, with those that it starts; and the most that there is to do
# at once before all wait for one file.
BYTES_A_PROCESS = 5 << 29
MOST_PROCESSES = 8


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: two a core, for tests wait half of their time; fewer where memory is short."""
    room = psutil.virtual_memory().available // BYTES_A_PROCESS
    return max(1, min(2 * usable_cores(), room, MOST_PROCESSES))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left with them at the end."""
    seconds: Counter[Path] = Counter()
    for item in items:
        if item.get_closest_marker("slow"):
            given = item.get_closest_marker("timeout")
            seconds[item.path] += int(given.args[0]) if given else 300
    items.sort(key=lambda item: -seconds[item.path])


def make_picture(label: int, number: int, size: int) -> Image.Image:
    """A noisy picture whose colour and stripe direction tell its class."""
    rng = np.random.default_rng([label, number])
    ramp = np.linspace(0, 6 * np.pi * (1 + label % 3), size)
    wave = np.sin(ramp)[:, None] if label % 2 else np.sin(ramp)[None, :]
    pixels = np.full((size, size, 3), 90.0) + 50 * np.broadcast_to(wave, (size, size))[..., None]
    pixels[..., label % 3] += 60
    pixels += rng.normal(0, 12, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_pictures(
    root: Path,
    *,
    classes: int = 3,
    per_class: int = 12,
    size: int = 64,
    splits: Mapping[str, int] | None = None,
) -> Path:
    """Write a folder of JPEGs, a class per folder; `splits` says how many each class has there."""
    parts = {"": per_class} if splits is None else splits
    number = 0
    for split, count in parts.items():
        for label in range(classes):
            folder = root / split / f"class_{label}"
            folder.mkdir(parents=True, exist_ok=True)
            for _ in range(count):
                number += 1
                make_picture(label, number, size).save(folder / f"{number:04}.jpg", quality=90)
    return root


@pytest.fixture
def picture_folder(tmp_path: Path) -> PictureFolder:
    """A function that writes a folder of JPEGs, a class per folder, and returns it."""
    return lambda name="pictures", **kind: write_pictures(tmp_path / name, **kind)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose home is a folder of this test."""
    return Settings(home=tmp_path / "home")


@contextmanager
def own_clary(home: Path) -> Iterator[dict[str, str]]:
    """The environment of a process that uses this home, a port of its own and no AWS.

    The service that something may start there is stopped afterwards, and its jobs and endpoints
    with it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    foreign = ("AWS_", "CLARY_", "SAGEMAKER_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    yield {**kept, "CLARY_HOME": str(home), "CLARY_PORT": str(port), "OMP_NUM_THREADS": "1"}
    record = ServiceRecord.read(Settings(home=home)) if home.is_dir() else None
    if record is not None:
        session = Session.on_this_machine(Settings(home=home), record=record)
        for endpoint in list_endpoints(session):
            Endpoint(session, endpoint.name).delete()
        for name in list_tuning_jobs(session):
            TuningJob(session, name).stop()
            TuningJob(session, name).wait()
        for job in list_jobs(session, status="InProgress"):
            TrainingJob(session, job.name).stop()
            TrainingJob(session, job.name).wait(poll_seconds=0.2)
        office.stop(Settings(home=home))


@pytest.fixture
def clary_environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What a process gets that uses a home, a port and AWS of this test's own."""
    with own_clary(tmp_path / "home") as environment:
        yield environment


@pytest.fixture(scope="session")
def kept_data() -> Path:
    """Where what takes long to make is kept, once for all sessions and workers."""
    default = Path(os.environ.get("TMPDIR", "/tmp")) / "clary-test-data"
    return Path(os.environ.get("CLARY_TEST_DATA", default))


@pytest.fixture(scope="session")
def shared_data(kept_data: Path) -> Path:
    """Where the real data sets are unpacked."""
    if not (SHARED / "data" / "unpack.py").exists():
        pytest.skip("the real pictures (../shared/data) are not beside this checkout")
    return kept_data


def _made(folder: Path, name: str, script: Path, *words: str) -> None:
    """Run a script that fills a folder, unless it has run; one process at a time."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / f".{name}.done").exists():
            subprocess.run([sys.executable, str(script), str(folder), *words], check=True)
            (folder / f".{name}.done").touch()


def _unpacked(folder: Path, name: str, inside: str) -> Path:
    _made(folder, name, SHARED / "data" / "unpack.py", name)
    return folder / inside


@pytest.fixture(scope="session")
def dogs(shared_data: Path) -> Path:
    """20 dog breeds in `train/`, `valid/` and `test/`, 224×224."""
    return _unpacked(shared_data, "dogs", "dogImages")


@pytest.fixture(scope="session")
def hymenoptera(shared_data: Path) -> Path:
    """Ants and bees in `train/` and `val/`, about 500×375, with a stray GIF."""
    return _unpacked(shared_data, "hymenoptera", "hymenoptera_data")


@pytest.fixture(scope="session")
def cifar_jpegs(shared_data: Path) -> Path:
    """CIFAR-10 as 60,000 JPEGs in `train/` and `test/`."""
    return _unpacked(shared_data, "cifar10", "cifar10")


@pytest.fixture(scope="session")
def cifar_batches(shared_data: Path) -> Path:
    """A folder with CIFAR-10 in its pickled form, as a folder and as a `.tar.gz`."""
    return _unpacked(shared_data, "cifar10-batches", ".")


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """The folder of ImageNet-pretrained weights."""
    folder = SHARED / "weights"
    if not folder.exists():
        pytest.skip("the pretrained weights (../shared/weights) are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def hub_cache(kept_data: Path) -> Path:
    """A `TORCH_HOME` where scripts find the weights that they ask torchvision for by name.

    The ones of ResNet-18 and ResNet-50 are random. Those of MobileNetV2 and SqueezeNet are real
    where they are beside the checkout, and random as well otherwise.
    """
    real = SHARED / "weights" / "hub_cache.py"
    if real.exists():
        folder, script = kept_data / "hub", real
    else:
        folder, script = kept_data / "hub-random", Path(__file__).with_name("random_weights.py")
    _made(folder, "weights", script)
    return folder
