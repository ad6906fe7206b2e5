"""Whether bf16 answers as fp32 does, asked about pictures that a training has not learned from."""

from __future__ import annotations

from pathlib import Path

import pytest

from clary.formats.converted_model import Agreement, ConvertedModel
from clary.settings import Settings
from clary.vision.caching import CacheStore
from clary.vision.datasets import open_dataset
from clary.vision.export.serving import convert_model
from clary.vision.export.serving_bf16 import judge_bf16
from clary.vision.features.openvino_network import computes_in_bf16


@pytest.fixture
def store(settings: Settings) -> CacheStore:
    return CacheStore.of(settings)


@pytest.fixture
def converted(learned_model: Path, store: CacheStore) -> ConvertedModel:
    return convert_model(learned_model, store).converted


@pytest.mark.skipif(not computes_in_bf16(), reason="this processor has no bf16")
def test_held_out_pictures_are_asked_about_once(
    converted: ConvertedModel, store: CacheStore, settings: Settings, picture_folder
) -> None:
    pictures = picture_folder(splits={"train": 2, "valid": 3, "test": 2})
    dataset = open_dataset(pictures, settings=settings)
    found = judge_bf16(converted, dataset, store)
    assert found is not None
    assert (found.split, found.judged, found.suffices) == ("test", 6, True)
    assert Agreement.read(converted.folder) == found
    kept = found.model_copy(update={"judged": 7})
    kept.write(converted.folder)
    assert judge_bf16(converted, dataset, store) == kept


@pytest.mark.skipif(computes_in_bf16(), reason="this processor has bf16")
def test_without_bf16_there_is_nothing_to_ask(
    converted: ConvertedModel, store: CacheStore, settings: Settings, picture_folder
) -> None:
    dataset = open_dataset(picture_folder(), settings=settings)
    assert judge_bf16(converted, dataset, store) is None
    assert Agreement.read(converted.folder) is None
