from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clary.errors import DataError
from clary.jobs.report.pictures import _require_same, _within
from clary.settings import Settings
from clary.vision.datasets import open_dataset
from clary.vision.evaluation import evaluate_logits


def test_pictures_whose_names_are_no_text_are_found_again(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(root / name / os.fsdecode(b"\xe8.png"))
    dataset = open_dataset(
        root, settings=Settings(home=tmp_path / "home"), valid_fraction=0, test_fraction=0
    )
    names = [dataset.train.source.name(index) for index in range(2)]
    mistakes = evaluate_logits(np.eye(2)[::-1], [0, 1], dataset.classes, names=names).top_losses
    _require_same(dataset.train, mistakes, "train")
    assert [_within(dataset, name) for name in names] == ["a/\ufffd.png", "b/\ufffd.png"]
    moved = [mistakes[0].model_copy(update={"name": "other.png"})]
    with pytest.raises(DataError, match="not the ones"):
        _require_same(dataset.train, moved, "train")
