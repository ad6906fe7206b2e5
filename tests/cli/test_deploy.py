"""`clary deploy`, `clary endpoints` and `clary predict ENDPOINT` as a person types them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import Clary
from tests.sdk.small_models import CLASSES, small_model

SECONDS = 120.0


@pytest.fixture
def clary_environment(clary_environment: Mapping[str, str]) -> Mapping[str, str]:
    """Without the process that keeps torch for trainings: there are none here."""
    return {**clary_environment, "CLARY_WARM": "0"}


def rows_of(output: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(output)
    return rows


@pytest.mark.slow
def test_deploy_ask_change_and_delete(
    clary: Clary, picture_folder, tmp_path: Path, clary_environment: Mapping[str, str]
) -> None:
    model = small_model(tmp_path / "photos", 1)
    folder = picture_folder("new", classes=2, per_class=2, size=40)
    deployed = clary("deploy", "photos", "--precision", "fp32")
    assert deployed.returncode == 0, deployed.stderr
    assert "Deploying photos as photos, 1 replica" in deployed.stdout
    assert re.search(r"photos is in service after [\d.]+ s", deployed.stdout)

    # Of the two that are called alike, the folder in sight is a model; then it is none.
    direct = clary("predict", "photos", folder, "--format", "json")
    assert "is a model and an endpoint" in direct.stderr
    (model / "model.json").unlink()
    asked = clary("predict", "photos", folder, "--format", "json")
    assert (asked.returncode, asked.stderr) == (0, "")
    for one, other in zip(rows_of(asked.stdout), rows_of(direct.stdout), strict=True):
        assert (one["picture"], one["class"]) == (other["picture"], other["class"])
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-3)
    (folder / "class_0" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    table = clary("predict", "photos", folder)
    assert table.returncode == 1
    assert table.stdout.splitlines()[0].split() == ["picture", "class", "probability", "runner-up"]
    assert "1 picture could not be read" in table.stderr
    assert "class_0/cut.jpg cannot be read as a picture" in table.stderr

    picture = next((folder / "class_1").iterdir())
    raw = clary("endpoints", "invoke", "photos", picture)
    assert len(json.loads(raw.stdout)[0]) == len(CLASSES)
    named = clary(
        "endpoints", "invoke", "photos", picture, "--accept=application/json;verbose=true"
    )
    assert json.loads(named.stdout)["predictions"][0]["label"] in CLASSES
    refused = clary("endpoints", "invoke", "photos", folder / "class_0" / "cut.jpg")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)

    curl = deployed.stdout[deployed.stdout.index("curl --aws") :]
    command = curl[: curl.index('/invocations"') + len('/invocations"')]
    command = command.replace("picture.jpg", str(picture))
    ended = subprocess.run(
        ["bash", "-c", f'eval "$({sys.executable} -m clary env)"\n{command}'],
        capture_output=True,
        text=True,
        check=False,
        env=clary_environment,
        cwd=tmp_path,
    )
    assert json.loads(ended.stdout)["predictions"][0]["label"] in CLASSES, ended.stderr

    shown = clary("endpoints").stdout.splitlines()
    assert shown[0].split()[:3] == ["endpoint", "status", "model"]
    assert shown[1].split()[:2] == ["photos", "InService"]
    assert len(shown) == 2  # at 80 columns nothing is folded
    small_model(tmp_path / "better", 2)
    updated = clary("endpoints", "update", "photos", "better", "--replicas", "2")
    assert updated.returncode == 0, updated.stderr
    assert re.search(r"photos is updated after [\d.]+ s", updated.stdout)
    described = clary("endpoints", "show", "photos").stdout
    assert re.search(r"model +better-[0-9a-f]{8}$", described, flags=re.MULTILINE)
    assert re.search(r"replicas +2$", described, flags=re.MULTILINE)
    logged = clary("endpoints", "logs", "photos").stdout.splitlines()
    assert any("POST /invocations 200" in line for line in logged)
    assert all(
        re.match(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d i-[0-9a-f]+: ", line) for line in logged
    )

    assert clary("endpoints", "logs", "photos", "-n", "1").stdout.count("\n") == 1

    int8 = clary("endpoints", "update", "photos", "better", "--precision", "int8")
    assert int8.stderr.startswith("clary: --precision int8 needs pictures to be calibrated on")
    near = clary("endpoints", "show", "photo")
    assert near.stderr == "clary: there is no endpoint photo: did you mean photos?\n"
    taken = clary("deploy", "better", "--name", "photos")
    assert (taken.returncode, taken.stderr.count("\n")) == (2, 1)
    assert "clary endpoints update photos MODEL" in taken.stderr
    absent = clary("endpoints", "update", "photos", "--variant", "B", "--weight", "1")
    assert (absent.returncode, absent.stderr.count("\n")) == (2, 1)
    assert "the endpoint photos has no variant B: it has AllTraffic" in absent.stderr
    deleted = clary("endpoints", "delete", "photos").stdout
    assert re.fullmatch(
        r"photos is deleted; what it served stays: s3://\S+/model\.tar\.gz\n", deleted
    )
    assert clary("endpoints", "show", "photos").returncode == 2
    assert "No endpoints yet" in clary("endpoints").stdout


@pytest.mark.slow
def test_a_server_in_the_foreground(
    picture_folder, tmp_path: Path, clary_environment: Mapping[str, str]
) -> None:
    small_model(tmp_path / "photos")
    picture = next(picture_folder(classes=1, per_class=1).rglob("*.jpg"))
    server = subprocess.Popen(
        [sys.executable, "-m", "clary", "deploy", "photos", "--foreground", "--port", "0"],
        env={**clary_environment, "PYTHONUNBUFFERED": "1"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        address = _address(server)
        _wait_for(f"{address}/ping")
        request = urllib.request.Request(
            f"{address}/invocations",
            picture.read_bytes(),
            {"Content-Type": "image/jpeg", "Accept": "application/json;verbose=true"},
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            assert json.loads(answer.read())["predictions"][0]["label"] in CLASSES
        request.data = b"no picture"
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(request, timeout=SECONDS)
        with urllib.request.urlopen(f"{address}/metrics", timeout=SECONDS) as answer:
            assert b"# TYPE" in answer.read()
    finally:
        os.killpg(server.pid, signal.SIGINT)
        rest, _ = server.communicate(timeout=SECONDS)
    assert server.returncode in {0, 130}, rest
    assert "Traceback" not in rest
    assert rest.endswith("photos has ended\n")
    assert not (tmp_path / "home" / "state.sqlite").exists()


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    deadline = time.monotonic() + SECONDS
    said = ""
    while time.monotonic() < deadline:
        line = server.stdout.readline()
        said += line
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            return found[0]
        assert line, said
    raise AssertionError(said)


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(address, timeout=SECONDS):
                return
        except urllib.error.URLError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
