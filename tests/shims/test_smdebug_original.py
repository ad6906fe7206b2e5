"""Trials of `smdebug` on what the original library has written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.shims.test_smdebug_trials import create

pytestmark = pytest.mark.usefixtures("smdebug_path")

ORIGINAL = Path(__file__).parents[1] / "debugger" / "data" / "original"


def test_what_the_original_library_has_written() -> None:
    from smdebug import exceptions, modes

    expected = json.loads((ORIGINAL / "expected.json").read_text())["tensors"]
    trial = create(ORIGINAL / "log")
    assert trial.loaded_all_steps
    assert set(trial.tensor_names()) == set(expected)
    for name, held in expected.items():
        tensor = trial.tensor(name)
        for mode in (modes.TRAIN, modes.EVAL, modes.GLOBAL):
            assert tensor.steps(mode=mode) == held["steps"][mode.name], name
        for step, value in held.get("values", {}).items():
            assert tensor.value(int(step)).dtype == held["dtype"], name
            assert tensor.value(int(step)).shape == np.shape(value), name
            assert np.allclose(tensor.value(int(step)), value, rtol=1e-6), (name, step)
    gradient = next(name for name in expected if name.startswith("gradient/"))
    step = trial.tensor(gradient).steps()[0]
    with pytest.raises(exceptions.TensorUnavailableForStep) as caught:
        trial.tensor(gradient).value(step)
    assert caught.value.has_reductions
    assert trial.tensor(gradient).reduction_value(step, "mean", abs=True) > 0


def test_reductions_of_the_original_are_as_it_has_saved_them(tmp_path: Path) -> None:
    expected = json.loads((ORIGINAL / "expected.json").read_text())["tensors"]
    reduced = {name: held["reductions"] for name, held in expected.items() if "reductions" in held}
    shutil.copytree(ORIGINAL / "log", tmp_path / "log")
    for index in (tmp_path / "log" / "index").glob("*/*.json"):
        described = json.loads(index.read_text())
        # As with save_shape: how many elements there were is known then.
        described["shape_payload"] = [
            *described.get("shape_payload", ()),
            *({"tensorname": name, "originalname": name, "shape": [3]} for name in reduced),
        ]
        index.write_text(json.dumps(described))
    trial = create(tmp_path / "log")
    for name, steps in reduced.items():
        tensor = trial.tensor(name)
        for step, values in steps.items():
            assert tensor.shape(int(step)) == (3,)
            for reduction, value in values.items():
                bare = reduction.removeprefix("abs_")
                mine = tensor.reduction_value(int(step), bare, abs=bare != reduction)
                assert mine == pytest.approx(value, rel=1e-6), (name, step, reduction)
