"""The `smdebug` hook within a job of the service: its folders, and several hooks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.shims.conftest import RunWatched
from tests.shims.test_smdebug_hook import SMALL, result_of


def test_a_job_that_has_no_opt_ml_of_its_own_and_asks_for_its_hook_again(
    run_watched: RunWatched, tmp_path: Path
) -> None:
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    (config / "debughookconfig.json").write_text(
        json.dumps(
            {"LocalPath": "/opt/ml/output/tensors", "HookParameters": {"save_interval": "1"}}
        )
    )
    found = result_of(
        run_watched(
            SMALL
            + """
import copy
def train(model):
    hook = smd.Hook.create_from_json_file()
    hook.register_hook(model)
    again = smd.Hook.create_from_json_file()
    assert again is hook
    again.register_hook(model)
    hook.set_mode(smd.modes.TRAIN)
    for _ in range(2):
        F.cross_entropy(model(inputs), labels).backward()
    return hook
other = copy.deepcopy(model)
first = train(model)
second = train(other)
assert first is second
second.close()
trial = create_trial(second.out_dir)
print(json.dumps([second.out_dir, trial.steps(smd.modes.TRAIN), trial.loaded_all_steps]))
""",
            SAGEMAKER_BASE_DIR=str(tmp_path),
        )
    )
    assert found == [str(tmp_path / "output" / "tensors"), [0, 1, 2, 3], True]


def test_several_hooks_of_one_job_go_on_one_behind_the_other(
    run_watched: RunWatched, tmp_path: Path
) -> None:
    (tmp_path / "hook.json").write_text(
        json.dumps(
            {"LocalPath": str(tmp_path / "tensors"), "HookParameters": {"save_interval": "1"}}
        )
    )
    job = {
        "SMDEBUG_CONFIG_FILE_PATH": str(tmp_path / "hook.json"),
        "TRAINING_JOB_NAME": "several-hooks",
    }
    code = (
        SMALL
        + """
import copy
for part in (model, copy.deepcopy(model)):
    hook = smd.Hook.create_from_json_file()
    hook.register_hook(part)
    for _ in range(2):
        F.cross_entropy(part(inputs), labels).backward()
    hook.close()
print(json.dumps(create_trial(hook.out_dir).steps()))
"""
    )
    assert result_of(run_watched(code, **job)) == [0, 1, 2, 3]
    # The next process of the job, such as that of another fold.
    assert result_of(run_watched(code, **job)) == list(range(8))
    (tmp_path / "tensors" / "training_job_end.ts").touch()
    assert "that has ended" in run_watched(code, **job).stderr.splitlines()[-1]
    saves_nothing = "smd.Hook('tensors', dry_run=True).register_hook(model); model(inputs)"
    assert run_watched(SMALL + saves_nothing).returncode == 0


def test_event_files_of_a_job_are_left_to_the_service(
    run_watched: RunWatched, tmp_path: Path
) -> None:
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    (config / "debughookconfig.json").write_text(
        json.dumps(
            {"LocalPath": "/opt/ml/output/tensors", "HookParameters": {"save_interval": "1"}}
        )
    )
    (config / "tensorboardoutputconfig.json").write_text(json.dumps({}))
    code = (
        SMALL
        + """
hook = smd.Hook.create_from_json_file()
hook.register_hook(model)
F.cross_entropy(model(inputs), labels).backward()
hook.close()
print(json.dumps(hook.tensorboard_dir))
"""
    )
    board = tmp_path / "output" / "tensorboard"
    place = {"SAGEMAKER_BASE_DIR": str(tmp_path)}
    assert result_of(run_watched(code, TRAINING_JOB_NAME="board", **place)) == str(board)
    assert not board.exists()
    assert len(list((tmp_path / "output" / "tensors" / "statistics").glob("*.sqlite"))) == 1
    # A script that is run by hand has none to leave them to.
    shutil.rmtree(tmp_path / "output")
    assert result_of(run_watched(code, **place)) == str(board)
    assert list(board.rglob("events.out.tfevents.*"))
