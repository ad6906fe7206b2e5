"""`clary.jobs.check_networks`: which networks can be trained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clary.jobs.check_networks import main


def test_known_names_are_found_without_torch() -> None:
    program = (
        "import sys\n"
        "from clary.jobs.check_networks import main\n"
        "assert main(['resnet18', 'test_resnet.r160_in1k']) == 0\n"
        "assert not {'torch', 'timm'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resnet18", "resnet19"]) == 1
    assert capsys.readouterr().out.startswith("there is no model 'resnet19' among timm's")
    assert main(["resnet18.nosuch"]) == 1
    assert "there is no tag 'nosuch' of resnet18" in capsys.readouterr().out


def test_weights_must_be_there_or_come(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert main(["--fetch", "test_resnet"]) == 1
    said = capsys.readouterr().out
    assert "the pretrained weights of test_resnet" in said
    assert "(HF_HUB_OFFLINE is set)" in said
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "test_resnet.r160_in1k.safetensors").touch()
    assert main(["--fetch", "test_resnet"]) == 0
