from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import openvino
import pytest

from clary.errors import FormatError, StorageError
from clary.formats.converted_model import ConvertedModel
from clary.formats.model_archive import ModelDescription
from clary.settings import GIB
from clary.vision.caching import CacheStore
from clary.vision.export.exporting import made_up_pictures
from clary.vision.export.serving import convert_model, run_network
from clary.vision.features.openvino_network import computes_in_bf16
from clary.vision.geometry import EvaluationTransform
from clary.vision.prediction import Predictor


@pytest.fixture
def store(tmp_path: Path) -> CacheStore:
    return CacheStore(tmp_path / "cache", GIB)


@pytest.mark.parametrize("model", ["small_model", "cropped_model", "attending_model"])
def test_the_network_answers_as_the_model_does(request, store, model):
    folder: Path = request.getfixturevalue(model)
    conversion = convert_model(folder, store)
    assert conversion.made and conversion.seconds > 0
    assert conversion.difference is not None and conversion.difference < 1e-3
    if computes_in_bf16():
        assert conversion.difference_bf16 is not None and conversion.difference_bf16 < 0.1
    assert conversion.converted == ConvertedModel.of(folder, store.root)
    preprocessing = ModelDescription.read(conversion.converted.folder).preprocessing
    network = openvino.Core().read_model(conversion.converted.network("fp32"))
    run = run_network(network)
    pictures = made_up_pictures()
    crops = np.stack([EvaluationTransform(preprocessing)(picture) for picture in pictures])
    expected = Predictor.load(folder, device="cpu").probabilities(pictures)
    for count in (1, 2, 5):
        assert np.abs(run(crops[:count]) - expected[:count]).max() < 1e-3


def test_it_is_made_once(small_model, store):
    first = convert_model(small_model, store)
    again = convert_model(small_model, store)
    assert (first.made, again.made, again.difference) == (True, False, None)
    assert again.converted == first.converted
    names = {path.name for path in first.converted.folder.iterdir()}
    assert names == {"fp32.xml", "fp32.bin", "model.json", "making.lock", "replacing.lock"}


def test_several_at_once_make_it_once(small_model, store):
    made: list[bool] = []
    threads = [
        threading.Thread(target=lambda: made.append(convert_model(small_model, store).made))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False, False, True]


def test_the_same_model_elsewhere_is_the_same(small_model, store, tmp_path):
    converted = convert_model(small_model, store).converted
    shutil.copytree(small_model, tmp_path / "copy")
    assert not convert_model(tmp_path / "copy", store).made
    content = json.loads((tmp_path / "copy" / "model.json").read_text())
    content["temperature"] = 3.0
    (tmp_path / "copy" / "model.json").write_text(json.dumps(content))
    other = convert_model(tmp_path / "copy", store)
    assert other.made and other.converted != converted


def test_it_is_bounded_with_all_that_is_cached(small_model, store, tmp_path):
    converted = convert_model(small_model, store).converted
    assert store.size_bytes() > 1_000_000
    with pytest.raises(StorageError, match="no room"):
        convert_model(small_model, CacheStore(tmp_path / "small", 1000))
    assert not store.make_room(GIB + 1)
    assert store.make_room(GIB)
    assert not converted.has("fp32")
    assert convert_model(small_model, store).made


def test_what_is_no_model_is_said(tmp_path, store):
    with pytest.raises(FormatError, match="holds no model of Clary's"):
        convert_model(tmp_path, store)


def test_networks_of_another_graph_are_others(small_model, store, monkeypatch):
    before = ConvertedModel.of(small_model, store.root)
    monkeypatch.setattr("clary.formats.converted_model.GRAPH_VERSION", 0)
    assert ConvertedModel.of(small_model, store.root) != before
