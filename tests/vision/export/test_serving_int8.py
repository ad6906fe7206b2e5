from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest

from clary.errors import DataError, ParityError, UsageError
from clary.formats.converted_model import CALIBRATION_FILE, Calibration, ConvertedModel
from clary.settings import Settings
from clary.vision.caching import CacheStore
from clary.vision.export.serving import convert_model, run_network
from clary.vision.export.serving_int8 import calibrate, read_calibration

pytest.importorskip("nncf", reason="int8 needs NNCF")


@pytest.fixture
def converted(learned_model: Path, settings: Settings) -> ConvertedModel:
    return convert_model(learned_model, CacheStore.of(settings)).converted


def test_a_quantised_network_is_judged_on_other_pictures(
    converted: ConvertedModel, settings: Settings, picture_folder
) -> None:
    with pytest.raises(UsageError, match="give --calibrate PICTURES"):
        read_calibration(converted)
    pictures = picture_folder(splits={"train": 8, "valid": 6})
    found = calibrate(converted, pictures, settings)
    assert (found.pictures, found.judged, found.data) == (24, 18, str(pictures))
    assert found.accuracy_before is not None and found.accuracy_before > 0.9
    assert found.accuracy_after is not None and found.accuracy_after > 0.8
    assert found.agreement > 0.8
    assert read_calibration(converted) == found == Calibration.read(converted.folder)
    network = openvino.Core().read_model(converted.network("int8"))
    assert any(node.get_type_name() == "FakeQuantize" for node in network.get_ops())
    crops = np.zeros((3, 32, 32, 3), np.uint8)
    assert np.abs(run_network(network)(crops).sum(axis=1) - 1).max() < 1e-3
    again = calibrate(converted, pictures, settings)
    assert again == found
    # As a calibration leaves it that was ended before it had written its findings.
    (converted.folder / CALIBRATION_FILE).unlink()
    assert not converted.has("int8")


def test_the_test_part_judges_where_there_is_one(
    converted: ConvertedModel, settings: Settings, picture_folder
) -> None:
    pictures = picture_folder(splits={"train": 4, "valid": 3, "test": 2})
    assert calibrate(converted, pictures, settings).judged == 6


def test_a_network_that_answers_otherwise_is_not_put_in_place(
    converted: ConvertedModel, settings: Settings, picture_folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clary.vision.export.serving_int8.LEAST_AGREEMENT", 1.01)
    with pytest.raises(ParityError, match="gives the same class as before for"):
        calibrate(converted, picture_folder(per_class=6), settings)
    assert not converted.has("int8")


def test_other_classes_are_compared_without_an_accuracy(
    converted: ConvertedModel, settings: Settings, picture_folder
) -> None:
    pictures = picture_folder(per_class=6)
    for number, folder in enumerate(sorted(pictures.iterdir())):
        folder.rename(pictures / f"other_{number}")
    found = calibrate(converted, pictures, settings)
    assert found.accuracy_before is None and found.accuracy_after is None
    assert 0 <= found.agreement <= 1
    assert found.judged == 3


def test_pictures_that_are_none_are_one_sentence(
    converted: ConvertedModel, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="does not exist"):
        calibrate(converted, tmp_path / "nowhere", settings)
    assert not converted.has("int8")


def test_nothing_reports_to_anybody() -> None:
    script = (
        "import clary.vision, nncf.telemetry.wrapper as wrapper\n"
        "from openvino.tools.ovc import convert_impl, telemetry_utils\n"
        "print(convert_impl.tm.__name__, telemetry_utils.tm.__name__)\n"
        "print(isinstance(wrapper.telemetry, wrapper.NNCFTelemetryStub))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    stub = "openvino.tools.ovc.telemetry_stub"
    assert ended.stdout.splitlines()[-2:] == [f"{stub} {stub}", "True"]
