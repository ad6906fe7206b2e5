"""The `smdebug` hook in real training scripts, against what the original 1.0.34 shows for them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.shims.conftest import SCRIPTS, Ended, RunWatched

HERE = Path(__file__).parent


def result_of(ended: Ended) -> dict[str, Any]:
    """What a script has printed last, as JSON."""
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("case", ["whole", "reductions", "default", "save_all"])
def test_names_steps_modes_and_values_are_those_of_the_original(
    case: str, run_watched: RunWatched, tmp_path: Path
) -> None:
    ended = run_watched(SCRIPTS / "list_tensors.py", ["tensors", case, "found.json"])
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    expected = json.loads((HERE / "data" / f"smdebug_{case}.json").read_text())
    for name in ("steps", "modes", "workers", "collections", "members", "mode_steps"):
        assert found[name] == expected[name], name
    assert list(found["tensors"]) == list(expected["tensors"])
    for name, modes in expected["tensors"].items():
        for mode, steps in modes.items():
            mine = found["tensors"][name][mode]
            assert list(mine) == list(steps), (name, mode)
            for step in steps:
                assert alike(mine[step], steps[step]), (name, mode, step, mine[step], steps[step])


def alike(mine: Any, theirs: Any) -> bool:
    if isinstance(theirs, dict):
        return mine.keys() == theirs.keys() and all(alike(mine[k], theirs[k]) for k in theirs)
    if isinstance(theirs, list):
        return mine[:2] == theirs[:2] and alike(mine[2], theirs[2])
    return math.isclose(mine, theirs, rel_tol=2e-3, abs_tol=1e-6)


SMALL = """
import json, torch, smdebug.pytorch as smd
from torch import nn
from torch.nn import functional as F
from smdebug.trials import create_trial
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
inputs, labels = torch.randn(8, 3), torch.tensor([0, 1] * 4)
"""


def test_without_a_configuration_a_hook_saves_nothing(
    run_watched: RunWatched, tmp_path: Path
) -> None:
    found = result_of(
        run_watched(
            SMALL
            + """
hook = smd.Hook.create_from_json_file()
hook.register_hook(model); hook.register_loss(nn.CrossEntropyLoss())
hook.set_mode(smd.modes.TRAIN)
F.cross_entropy(model(inputs), labels).backward()
hook.save_scalar("a", 1.0); hook.save_tensor("b", inputs); hook.close()
smd.del_hook()
print(json.dumps({"hook": repr(smd.get_hook(create_if_not_exists=True))}))
""",
            SMDEBUG_CONFIG_FILE_PATH=str(tmp_path / "none.json"),
            SAGEMAKER_BASE_DIR=str(tmp_path / "ml"),
        )
    )
    assert found == {"hook": "None"}
    assert not (tmp_path / "ml").exists()


def test_a_named_configuration_must_be_there(run_watched: RunWatched, tmp_path: Path) -> None:
    ended = run_watched(SMALL + "smd.Hook.create_from_json_file('none.json')")
    assert "FileNotFoundError: none.json is not there" in ended.stderr


@pytest.mark.parametrize("turned", ["false", "true"])
def test_a_hook_by_its_configuration(run_watched: RunWatched, tmp_path: Path, turned: str) -> None:
    (tmp_path / "hook.json").write_text(
        json.dumps(
            {
                "LocalPath": str(tmp_path / "tensors"),
                "HookParameters": {"train.save_interval": "2", "eval.save_interval": "1"},
                "CollectionConfigurations": [
                    {
                        "CollectionName": "gradients",
                        "CollectionParameters": {"save_interval": "500"},
                    },
                    {"CollectionName": "gradients", "CollectionParameters": {"save_interval": "3"}},
                    {
                        "CollectionName": "hidden",
                        "CollectionParameters": {
                            "include_regex": "1_output",
                            "reductions": "mean,abs_max",
                            "start_step": "2",
                        },
                    },
                ],
            }
        )
    )
    found = result_of(
        run_watched(
            SMALL
            + """
hook = smd.get_hook(create_if_not_exists=True)
if hook is None:
    print(json.dumps(None)); raise SystemExit
assert smd.get_hook() is hook
hook.register_module(model)
assert hook.step == -1
for mode, count in ((smd.modes.TRAIN, 5), (smd.modes.EVAL, 3)):
    hook.set_mode(mode)
    for _ in range(count):
        F.cross_entropy(model(inputs), labels).backward()
assert (hook.step, hook.mode_steps[smd.modes.EVAL]) == (7, 2)
hook.close()
trial = create_trial(hook.out_dir)
def steps(name):
    return [trial.tensor(name).steps(mode=mode) for mode in (smd.modes.TRAIN, smd.modes.EVAL)]
hidden = trial.tensor("1_output_0")
try:
    hidden.value(2, smd.modes.TRAIN)
    whole = True
except Exception as error:
    whole = [type(error).__name__, error.has_reductions]
print(json.dumps({
    "loss": steps("cross_entropy_loss_output_0"),
    "gradient": steps("gradient/Sequential_0.weight"),
    "hidden": steps("1_output_0"), "whole": whole,
    "max": float(hidden.reduction_value(2, "max", smd.modes.TRAIN, abs=True)) > 0,
    "saved": [list(key) for key in hidden.reduction_values(2, smd.modes.TRAIN)],
}))
""",
            SMDEBUG_CONFIG_FILE_PATH=str(tmp_path / "hook.json"),
            USE_SMDEBUG=turned,
        )
    )
    if turned == "false":
        assert found is None
        return
    assert found["loss"] == [[0, 2, 4], [0, 1, 2]]
    assert found["gradient"] == [[0, 3], []]
    assert found["hidden"] == [[2, 4], [2]]
    assert found["whole"] == ["TensorUnavailableForStep", True]
    assert found["max"]
    assert ["mean", False] in found["saved"]


def test_each_registered_module_counts_steps(run_watched: RunWatched) -> None:
    found = result_of(
        run_watched(
            SMALL
            + """
first, second = nn.Linear(3, 4), nn.Linear(4, 2)
hook = smd.Hook("tensors", save_config=smd.SaveConfig(save_interval=1))
hook.register_module(first); hook.register_module(second)
for _ in range(3):
    F.cross_entropy(second(first(inputs)), labels).backward()
hook.close()
loss = create_trial("tensors").tensor("cross_entropy_loss_output_0")
print(json.dumps([hook.step, loss.steps()]))
"""
        )
    )
    assert found == [5, [1, 3, 5]]


def test_a_compiled_model(run_watched: RunWatched) -> None:
    found = result_of(
        run_watched(
            SMALL
            + """
hook = smd.Hook("tensors", include_collections=["weights", "gradients"],
                save_config=smd.SaveConfig(save_interval=2))
compiled = torch.compile(model, backend="eager")
hook.register_module(compiled)
for _ in range(3):
    hook.save_tensor("mine", labels)
    F.cross_entropy(compiled(inputs), labels).backward()
hook.close()
trial = create_trial("tensors")
print(json.dumps({name: trial.tensor(name).steps() for name in trial.tensor_names()}))
"""
        )
    )
    names = [
        "Sequential_0.weight",
        "Sequential_2.weight",
        "cross_entropy_loss_output_0",
        *(f"gradient/Sequential_{part}" for part in ("0.weight", "0.bias", "2.weight", "2.bias")),
        "mine",
    ]
    assert found == {name: [0, 2] for name in names}


def test_what_a_script_saves_itself_belongs_to_its_step(
    run_watched: RunWatched, tmp_path: Path
) -> None:
    found = result_of(
        run_watched(
            SMALL
            + """
hook = smd.Hook("tensors", save_config=smd.SaveConfig(save_interval=1))
hook.register_module(model)
hook.set_mode(smd.modes.TRAIN)
hook.save_scalar("before", 0.5)
for step in range(3):
    hook.save_tensor("labels", labels[:step + 1], "labels")
    loss = F.nll_loss(model(inputs).log_softmax(1), labels)
    hook.record_tensor_value("nll_loss", loss)
    hook.record_tensor_value("other_loss", loss * 2)
    hook.save_tensor("after_forward", torch.tensor([step]))
    loss.backward()
    hook.save_scalar("accuracy", torch.tensor([0.1 * step]))
hook.save_tensor("last", [1.0, 2.0])
hook.close()
trial = create_trial("tensors")
print(json.dumps({
    "names": trial.tensor_names(),
    "labels": [trial.tensor("labels").shape(step) for step in trial.tensor("labels").steps()],
    "of_collection": trial.tensor_names(collection="labels"),
    "after": [int(trial.tensor("after_forward").value(step)[0]) for step in range(3)],
    "accuracy": {s: round(float(v[0]), 3)
                 for s, v in trial.tensor("scalar/accuracy").values().items()},
    "before": trial.tensor("scalar/before").steps(), "last": trial.tensor("last").steps(),
    "twice": trial.tensor("nll_loss_output_0").steps(),
}))
"""
        )
    )
    assert found["names"] == [
        "after_forward",
        "labels",
        "last",
        "nll_loss_output_0",
        "other_loss_output_0",
        "scalar/accuracy",
        "scalar/before",
    ]
    assert found["labels"] == [[1], [2], [3]]
    assert found["of_collection"] == ["labels"]
    assert found["after"] == [0, 1, 2]
    assert found["accuracy"] == {"0": 0.0, "1": 0.1, "2": 0.2}
    assert (found["before"], found["last"]) == ([0], [2])
    assert found["twice"] == [0, 1, 2]


def test_tensors_of_a_script_cost_nothing_where_they_are_not_saved(run_watched: RunWatched) -> None:
    found = result_of(
        run_watched(
            SMALL
            + """
import smdebug.pytorch.custom_tensors as custom
def held(hook):
    return hook._custom.waiting_bytes
dry = smd.Hook("dry", dry_run=True)
dry.register_module(model)
dry.save_tensor("inputs", inputs)
found = {"dry": held(dry)}
hook = smd.Hook("tensors", save_config=smd.SaveConfig(save_interval=3))
watched = nn.Sequential(model)
hook.register_module(watched)
waited = []
for step in range(7):
    hook.save_tensor("labels", labels, "labels")
    waited.append(held(hook) > 0)
    F.cross_entropy(watched(inputs), labels)
hook.close()
found["waited"] = waited
found["saved"] = create_trial("tensors").tensor("labels").steps()
custom._LIMIT_BYTES = 1000
alone = smd.Hook("alone")
for number in range(100):
    alone.save_tensor(f"inputs_{number}", inputs)
found["alone"] = held(alone)
print(json.dumps(found))
"""
        )
    )
    assert found["dry"] == 0
    # Until the first step all may be saved; then the step that goes on, or the next one.
    assert found["waited"] == [True, True, False, True, True, False, True]
    assert found["saved"] == [0, 3, 6]
    assert 0 < found["alone"] <= 1000


def test_a_watched_model_is_saved_whole_and_opens_where_clary_is_not(
    run_watched: RunWatched, tmp_path: Path
) -> None:
    found = result_of(
        run_watched(
            SMALL
            + """
import copy
hook = smd.Hook("tensors", save_all=True, save_config=smd.SaveConfig(save_interval=1))
hook.register_module(model)
torch.save(model, "before.pth")
loss = nn.CrossEntropyLoss(); hook.register_loss(loss)
torch.jit.script(model).save("before.pt"); torch.jit.script(loss)
assert hook.step == -1
F.cross_entropy(model(inputs), labels).backward()
torch.save(model, "within.pth"); torch.jit.script(model).save("within.pt")
copy.deepcopy(model)(inputs)
hook.close()
torch.save(model, "after.pth")
print(json.dumps({}))
"""
        )
    )
    assert found == {}
    code = """
import sys
for name in [name for name in sys.modules if name.split(".")[0] in ("clary", "smdebug")]:
    sys.modules[name] = None
import torch
for name in ("before", "within", "after"):
    assert torch.load(name + ".pth", weights_only=False)(torch.zeros(1, 3)).shape == (1, 2)
print("{}")
"""
    result_of(run_watched(code))


def test_modules_collections_and_event_files(run_watched: RunWatched, tmp_path: Path) -> None:
    found = result_of(
        run_watched(
            SMALL
            + """
hook = smd.Hook("tensors", export_tensorboard=True, include_collections=["mine"],
                save_config=smd.SaveConfig(save_interval=1))
hook.register_module(model)
hook.get_collection("mine").add_module_tensors(model[0], inputs=True, outputs=True)
F.cross_entropy(model(inputs), labels).backward()
hook.close()
print(json.dumps({"names": create_trial("tensors").tensor_names()}))
"""
        )
    )
    assert found["names"] == ["0_input_0", "0_output_0", "cross_entropy_loss_output_0"]
    assert list((tmp_path / "tensors" / "tensorboard" / "GLOBAL").glob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("smd.Hook()", "a hook needs out_dir"),
        ("smd.Hook('s3://bucket/x')", "give a folder"),
        ("smd.Hook('x', save_config=3)", "give a SaveConfig"),
        ("smd.Hook('x').set_mode('train')", "give one of modes.TRAIN"),
        ("smd.Hook('x').register_module(3)", "int is no torch.nn.Module"),
        ("smd.Hook('x').save_scalar('a', [1, 2])", "scalar 'a' has 2 values"),
        ("smd.SaveConfig(save_interval=0)", "save_interval is 0"),
        ("smd.ReductionConfig(['median'])", "'median' is no reduction"),
        (
            "h = smd.Hook('x'); h.register_module(model); h.register_module(model)",
            "registered already",
        ),
        (
            "h = smd.Hook('x', include_collections=['empty']); h.get_collection('empty'); "
            "h.register_module(model); model(inputs)",
            "InvalidCollectionConfiguration: the collection 'empty' could hold nothing",
        ),
        ("import smdebug.tensorflow as t", "smdebug.tensorflow is not offered"),
        ("from smdebug.mxnet import Hook", "smdebug.mxnet is not offered"),
        ("import smdebug.xgboost", "smdebug.xgboost is not offered"),
        (
            "from smdebug.profiler.analysis.python_profile_analysis import PyinstrumentAnalysis",
            "PyinstrumentAnalysis is not offered",
        ),
        (
            "h = smd.Hook('x'); h.register_module(model); model(inputs); h.close(); smd.Hook('x')",
            "that has ended",
        ),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(
    code: str, told: str, run_watched: RunWatched, tmp_path: Path
) -> None:
    ended = run_watched(SMALL + code)
    assert ended.returncode == 1
    assert told in ended.stderr.splitlines()[-1], ended.stderr
