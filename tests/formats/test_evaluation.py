from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clary.errors import FormatError
from clary.formats.evaluation import VERSION, Evaluations
from clary.vision.evaluation import evaluate_logits


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_what_is_written_is_read(tmp_path: Path, data):
    classes, count = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 30))
    elements = st.floats(-50, 50, width=32)
    logits = data.draw(hnp.arrays(np.float32, (count, classes), elements=elements))
    labels = data.draw(hnp.arrays(np.int64, count, elements=st.integers(0, classes - 1)))
    names = data.draw(st.lists(st.text(min_size=1, max_size=5), min_size=count, max_size=count))
    temperature = data.draw(st.floats(0.1, 10))
    evaluation = evaluate_logits(
        logits, labels, [str(k) for k in range(classes)], temperature=temperature, names=names
    )
    written = Evaluations(splits={"test": evaluation})
    written.write(tmp_path / "evaluation.json")
    assert Evaluations.read(tmp_path / "evaluation.json") == written


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"version": VERSION + 1, "splits": {}}, "install a newer Clary"),
        ({"splits": {}}, "version None"),
        ([], "version None"),
        ({"version": VERSION, "splits": {"test": {}}}, "is not an evaluation"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, content, says):
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(FormatError, match=says):
        Evaluations.read(path)
    with pytest.raises(FormatError, match="is missing"):
        Evaluations.read(tmp_path / "other.json")
