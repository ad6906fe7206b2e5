from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import FormatError
from clary.formats.converted_model import (
    AGREEMENT_FILE,
    CALIBRATION_FILE,
    Agreement,
    Calibration,
    ConvertedModel,
)

CACHE = Path("/cache")
shares = st.floats(0, 1)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(5 << 20))
    return folder


def test_the_same_files_have_the_same_place(model: Path, tmp_path: Path) -> None:
    converted = ConvertedModel.of(model, CACHE)
    assert converted.folder.parent == CACHE / "served"
    assert len(converted.folder.name) == 32
    (model / "code").mkdir()
    (model / "code" / "inference.py").write_text("")
    model.rename(tmp_path / "elsewhere")
    assert ConvertedModel.of(tmp_path / "elsewhere", CACHE) == converted


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_another_byte_is_another_model(model: Path, name: str) -> None:
    converted = ConvertedModel.of(model, CACHE)
    content = (model / name).read_bytes()
    (model / name).write_bytes(content[:-1] + b"x")
    assert ConvertedModel.of(model, CACHE) != converted
    (model / name).unlink()
    with pytest.raises(FormatError, match="holds no model of Clary's"):
        ConvertedModel.of(model, CACHE)


def test_a_network_is_there_with_its_description(tmp_path: Path) -> None:
    converted = ConvertedModel(tmp_path)
    (tmp_path / "fp32.bin").touch()
    assert not converted.has("fp32")
    (tmp_path / "fp32.xml").touch()
    assert converted.has("fp32") and not converted.has("int8")
    assert converted.network("int8") == tmp_path / "int8.xml"


@given(before=st.none() | shares, after=st.none() | shares, agreement=shares, data=st.text())
def test_a_calibration_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    before: float | None,
    after: float | None,
    agreement: float,
    data: str,
) -> None:
    folder = tmp_path_factory.mktemp("calibration")
    calibration = Calibration(
        pictures=3,
        judged=2,
        accuracy_before=before,
        accuracy_after=after,
        agreement=agreement,
        data=data,
    )
    calibration.write(folder)
    assert Calibration.read(folder) == calibration


@pytest.mark.parametrize("content", ["", "[]", '{"version": 1}', '{"version": 99}'])
def test_a_damaged_calibration_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / CALIBRATION_FILE).write_text(content)
    with pytest.raises(FormatError, match=CALIBRATION_FILE):
        Calibration.read(tmp_path)


@given(agreement=shares, judged=st.integers(1, 128))
def test_an_agreement_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, agreement: float, judged: int
) -> None:
    folder = tmp_path_factory.mktemp("agreement")
    assert Agreement.read(folder) is None
    written = Agreement(split="test", judged=judged, agreement=agreement)
    written.write(folder)
    assert Agreement.read(folder) == written
    assert written.suffices == (agreement >= 0.95)
    (folder / AGREEMENT_FILE).write_text('{"version": 1, "judged": "many"}')
    with pytest.raises(FormatError, match="is not an agreement"):
        Agreement.read(folder)
