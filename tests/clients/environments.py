"""Python environments of other people's clients, whose pins do not go with Clary's own.

    notebook     what notebooks of the last years have: version 2 of the SageMaker Python SDK, a
                 kernel, tables and charts
    sagemaker3   its rewrite, with ModelTrainer
    awscli       the AWS CLI, version 1
    s3fs         fsspec's S3, on aiobotocore
    smart_open   S3 as open files
    tensorboard  what event files are read with
    own_kernel   a kernel, and all that the Python of the tests has

Each is made once, in `.clients/` of the checkout, and kept.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

FOLDER = Path(__file__).resolve().parents[2] / ".clients"
REQUIREMENTS = {
    "sagemaker3": ("sagemaker>=3,<4", "ipykernel>=6"),
    "awscli": ("awscli>=1.46,<2",),
    "s3fs": ("s3fs>=2025",),
    "smart_open": ("smart_open[s3]>=7",),
    "tensorboard": ("tensorboard>=2.18",),
    "notebook": (
        "sagemaker==2.257.*",
        "ipykernel>=6",
        "nbclient>=0.10",
        "pandas",
        "matplotlib>=3.6",
    ),
    "own_kernel": ("ipykernel>=6",),
}
# What else such an environment finds: the packages of the Python that runs the tests.
BESIDE = {"own_kernel": sysconfig.get_path("purelib")}
# What uv says when it is the network that fails, and not what was asked for.
UNREACHABLE = ("error sending request", "dns error", "Failed to fetch", "Could not connect")


@dataclass(frozen=True)
class ClientEnvironment:
    """An environment that is ready."""

    root: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.root / "bin" / "python"

    def command(self, name: str) -> Path:
        """A program of it, such as `aws`."""
        return self.root / "bin" / name


def client_environment(name: str) -> ClientEnvironment:
    """Make one of the environments, unless it is there; one process at a time.

    Skips the test when the registry cannot be reached.
    """
    root = FOLDER / name
    stamp = root / ".requirements"
    beside = BESIDE.get(name, "")
    wanted = "\n".join((sys.version, *REQUIREMENTS[name], *filter(None, [beside])))
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.is_file() or stamp.read_text() != wanted:
            _uv("venv", "--clear", "--python", sys.executable, str(root))
            python = root / "bin" / "python"
            # Not compiled: tests import a small part of what is installed.
            _uv("pip", "install", "--python", str(python), *REQUIREMENTS[name])
            if beside:
                # `addsitedir` rather than the path alone: it also reads that folder's .pth files.
                (packages,) = root.glob("lib/python*/site-packages")
                line = f"import site; site.addsitedir({beside!r})\n"
                (packages / "beside.pth").write_text(line)
            stamp.write_text(wanted)
    return ClientEnvironment(root)


def _uv(*arguments: str) -> None:
    ended = subprocess.run(
        [find_uv_bin(), *arguments, "--quiet"], capture_output=True, text=True, check=False
    )
    if ended.returncode and any(sign in ended.stderr for sign in UNREACHABLE):
        pytest.skip(f"the package registry cannot be reached: {ended.stderr.strip()[-300:]}")
    assert ended.returncode == 0, ended.stderr


def through_clary(
    environment: Mapping[str, str], folder: Path, *command: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run a client's command by `clary exec`, as people do."""
    return subprocess.run(
        [sys.executable, "-m", "clary", "exec", "--", *map(str, command)],
        env=dict(environment),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="session")
def sagemaker3() -> ClientEnvironment:
    """The SageMaker Python SDK, version 3."""
    return client_environment("sagemaker3")


@pytest.fixture(scope="session")
def awscli() -> ClientEnvironment:
    """The AWS CLI, version 1."""
    return client_environment("awscli")


@pytest.fixture(scope="session")
def s3fs() -> ClientEnvironment:
    """S3 as a file system."""
    return client_environment("s3fs")


@pytest.fixture(scope="session")
def smart_open() -> ClientEnvironment:
    """S3 as open files."""
    return client_environment("smart_open")


@pytest.fixture(scope="session")
def notebook() -> ClientEnvironment:
    """What people's notebooks run in: the SDK, version 2, with tables and charts."""
    return client_environment("notebook")


@pytest.fixture(scope="session")
def own_kernel() -> ClientEnvironment:
    """What a notebook runs in that imports Clary itself."""
    return client_environment("own_kernel")
