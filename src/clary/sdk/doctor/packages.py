"""Looks at Python and its packages, this one's and the caller's; imports none of them."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from clary import __version__
from clary.sdk.doctor.observation import Observation, Surroundings

_SHOWN = ("torch", "timm", "openvino")
_EXTRAS = ("onnx", "int8")
_EXTRA_USES = {
    "onnx": "`clary export --format onnx`",
    "int8": "`clary deploy --precision int8`",
}
_CUDA = re.compile(r"^cuda\b[^=]*=\s*'(\d+)\.(\d+)", re.MULTILINE)
_CLIENTS = ("boto3", "sagemaker")
_ASK = (
    "import json, sys\n"
    "from importlib import metadata\n"
    "found = {}\n"
    f"for name in {_CLIENTS!r}:\n"
    "    try:\n"
    "        found[name] = metadata.version(name)\n"
    "    except metadata.PackageNotFoundError:\n"
    "        pass\n"
    "print(json.dumps({'python': sys.version.split()[0], 'packages': found}))\n"
)
_PATIENCE_S = 15.0


def look_at_python(_around: Surroundings) -> Iterator[Observation]:
    """The interpreter that runs Clary."""
    found = f"{platform.python_version()} in {sys.prefix}"
    yield Observation("python", found, f"runs Clary {__version__}, and scripts of training jobs")


def look_at_packages(_around: Surroundings) -> Iterator[Observation]:
    """Whether what Clary needs is installed, and recent enough."""
    wrong = wrong_packages()
    if wrong:
        yield Observation(
            "packages",
            "; ".join(wrong.values()),
            "what needs them fails",
            "fault",
            f"install them: {sys.executable} -m pip install {shlex.join(wrong)}",
        )
    else:
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in _SHOWN)
        yield Observation("packages", versions, "all that Clary needs is there")
    for extra in _EXTRAS:
        if wrong_packages(extra):
            yield Observation(
                f"clary[{extra}]",
                "not installed",
                f"{_EXTRA_USES[extra]} needs it",
                "note",
                f"{sys.executable} -m pip install 'clary[{extra}]' where that is wanted",
            )


def wrong_packages(extra: str = "", distribution: str = "clary") -> dict[str, str]:
    """What a distribution requires and this Python does not have.

    Args:
        extra: look at what this extra adds, instead of at what is always needed.
        distribution: whose requirements.

    Returns:
        What to install, and what is wrong with what there is.
    """
    wrong = {}
    for text in metadata.requires(distribution) or ():
        try:
            required = Requirement(text)
        except InvalidRequirement:
            continue
        always = required.marker is None or required.marker.evaluate({"extra": ""})
        wanted = required.marker is None or required.marker.evaluate({"extra": extra})
        if not wanted or (extra and always):
            continue
        reason = _wrong_with(required)
        if reason is not None:
            wrong[f"{required.name}{required.specifier}"] = reason
    return wrong


def _wrong_with(required: Requirement) -> str | None:
    try:
        version = metadata.version(required.name)
    except metadata.PackageNotFoundError:
        return f"{required.name} is missing"
    if required.specifier.contains(version, prereleases=True):
        return None
    return f"{required.name} is {version} but must be {required.specifier}"


def cuda_of_torch() -> tuple[int, int] | None:
    """The CUDA that the installed torch was built for; None for one that knows no GPUs."""
    found = find_spec("torch")
    if found is None or found.origin is None:
        return None
    try:
        text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    version = _CUDA.search(text)
    return None if version is None else (int(version[1]), int(version[2]))


def look_at_clients(around: Surroundings) -> Iterator[Observation]:
    """What the Python of the caller's shell has of AWS's clients, and whether `aws` is there."""
    path = around.environment.get("PATH")
    python = shutil.which("python3", path=path) or shutil.which("python", path=path)
    asked = _asked(python or sys.executable)
    if asked is None:
        yield Observation("your python", str(python), "does not answer", "note")
    else:
        version, packages = asked
        have = ", ".join(f"{name} {number}" for name, number in packages.items())
        meaning = "runs unmodified by `clary exec -- python …` or after `clary env`"
        if "sagemaker" not in packages:
            meaning = f"{meaning}; notebooks of the SageMaker SDK need `pip install sagemaker`"
        yield Observation(
            "your python",
            f"{version} at {python or sys.executable} with {have or 'neither boto3 nor sagemaker'}",
            meaning,
            "ok" if packages else "note",
        )
    aws = shutil.which("aws", path=path)
    if aws is not None:
        yield Observation("aws", aws, "talks to this machine by `clary exec -- aws …`")


def _asked(python: str) -> tuple[str, dict[str, str]] | None:
    try:
        ended = subprocess.run(
            [python, "-c", _ASK],
            env={**os.environ, "PYTHONSAFEPATH": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=True,
        )
        answer = json.loads(ended.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return answer["python"], answer["packages"]
