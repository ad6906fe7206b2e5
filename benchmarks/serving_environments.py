"""Python environments of other people's servers, each made once and kept among the caches."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

_TORCH = ("torch", "torchvision", "pillow", "setuptools<81")
REQUIREMENTS = {
    "fastapi": (*_TORCH, "fastapi", "uvicorn[standard]", "openvino"),
    "litserve": (*_TORCH, "litserve"),
    "bentoml": (*_TORCH, "bentoml"),
    "ray": (*_TORCH, "ray[serve]"),
    "torchserve": (
        *_TORCH,
        "torchserve",
        "torch-model-archiver",
        "captum",
        "pyyaml",
        "psutil",
        "packaging",
    ),
}


def environment_python(name: str) -> Path:
    """The interpreter of an environment.

    Raises:
        RuntimeError: it cannot be made here.
    """
    if name == "torchserve" and shutil.which("java") is None:
        raise RuntimeError("TorchServe needs Java, which is not installed")
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(caches) / "clary-benchmarks" / f"serving-{name}"
    stamp = folder / ".requirements"
    wanted = "\n".join((sys.version, *REQUIREMENTS[name]))
    if not stamp.is_file() or stamp.read_text() != wanted:
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        python = str(folder / "bin" / "python")
        _uv("pip", "install", "--compile-bytecode", "--python", python, *REQUIREMENTS[name])
        stamp.write_text(wanted)
    return folder / "bin" / "python"


def _uv(*arguments: str) -> None:
    ended = subprocess.run(
        [find_uv_bin(), *arguments, "--quiet"], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RuntimeError(f"uv {arguments[0]} failed: {ended.stderr.strip()[-300:]}")
