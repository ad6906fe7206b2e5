"""What a replica is told and tells comes back as it was written, and damage is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from clary.errors import FormatError
from clary.formats.converted_model import ConvertedModel
from clary.formats.replica import SETTINGS_FILE, Listening, ReplicaSettings


def test_both_files_come_back(tmp_path: Path) -> None:
    settings = ReplicaSettings(
        endpoint="dogs", variant="AllTraffic", instance="i-1", kind="script", model="/opt/ml/model"
    )
    settings.write(tmp_path)
    assert ReplicaSettings.read(tmp_path) == settings
    assert Listening.read(tmp_path) is None
    listening = Listening(address="127.0.0.1", port=40001, since_ms=1_760_000_000_000)
    listening.write(tmp_path)
    assert Listening.read(tmp_path) == listening


@pytest.mark.parametrize("content", ["", "{}", '{"version": 1}', '{"version": 99}', "[1]"])
def test_a_damaged_file_is_told(content: str, tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text(content)
    with pytest.raises(FormatError, match=r"replica\.json"):
        ReplicaSettings.read(tmp_path)


def test_the_same_model_has_one_place_wherever_it_lies(tmp_path: Path) -> None:
    for name, weights in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(weights)
    first, same, other = (
        ConvertedModel.of(tmp_path / name, tmp_path / "cache") for name in ("a", "b", "c")
    )
    assert first == same != other
    assert not first.has("fp32")
    with pytest.raises(FormatError, match="holds no model"):
        ConvertedModel.of(tmp_path / "cache", tmp_path / "cache")
