"""What one replica is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from clary.formats.launch import Isolation, Launch
from clary.formats.replica import ReplicaSettings
from clary.service.executors.replica_executor import ReplicaSpec
from clary.service.executors.replicas.launching import write_launch
from clary.service.executors.served_models import PreparedModel


def spec(tmp_path: Path, **prepared: Any) -> ReplicaSpec:
    model = tmp_path / "model"
    (model / "code").mkdir(parents=True)
    return ReplicaSpec(
        endpoint="e",
        variant="v",
        instance="i-1",
        folder=tmp_path / "i-1",
        prepared=PreparedModel(**{"identity": "x", "kind": "script", "model": model, **prepared}),
        environment={"PYTHONPATH": "/shims", "AWS_REGION": "us-east-1"},
    )


@pytest.mark.parametrize("isolation", ["namespace", "none"])
def test_handlers_see_their_model_where_sagemaker_has_it(
    tmp_path: Path, isolation: Isolation
) -> None:
    asked = {"SAGEMAKER_PROGRAM": "serve.py", "SAGEMAKER_SUBMIT_DIRECTORY": "s3://b/k"}
    told = spec(tmp_path, environment=asked)
    files, warm = write_launch(told, isolation)
    launch = Launch.read(files.launch)
    settings = ReplicaSettings.read(told.folder)
    base = "/opt/ml" if isolation == "namespace" else str(told.folder)
    assert settings.model == f"{base}/model"
    assert (settings.kind, settings.endpoint, settings.variant) == ("script", "e", "v")
    assert launch.command == (sys.executable, "-m", "clary.jobs.serve", base)
    assert launch.in_process is not None
    assert warm
    environment = launch.environment
    assert environment["SAGEMAKER_PROGRAM"] == "serve.py"
    assert environment["SAGEMAKER_SUBMIT_DIRECTORY"] == f"{base}/model/code"
    assert environment["AWS_REGION"] == "us-east-1"
    assert environment["PYTHONPATH"].split(os.pathsep) == ["/shims"]
    assert environment["CLARY_LAUNCH"] == launch.token
    if isolation == "namespace":
        (mount,) = launch.mounts
        assert (mount.source, mount.target) == (str(told.prepared.model), "/opt/ml/model")
        assert mount.changes is None
    else:
        assert (told.folder / "model").samefile(told.prepared.model)
        assert "SAGEMAKER_BASE_DIR" in environment


def test_clarys_own_server_takes_real_paths(tmp_path: Path) -> None:
    told = spec(tmp_path, kind="pictures", converted=tmp_path / "c", precision="fp32")
    files, warm = write_launch(told, "namespace")
    launch = Launch.read(files.launch)
    settings = ReplicaSettings.read(told.folder)
    assert launch.isolation == "none"
    assert warm
    assert settings.converted == str(tmp_path / "c")
    assert settings.precision == "fp32"
    assert (told.folder / "model").samefile(told.prepared.model)


def test_what_is_read_while_libraries_are_loaded_needs_a_fresh_interpreter(tmp_path: Path) -> None:
    told = spec(tmp_path, environment={"OMP_NUM_THREADS": "3"})
    files, warm = write_launch(told, "namespace")
    assert not warm
    assert Launch.read(files.launch).in_process is None


def test_an_interpreter_of_its_own_is_for_the_workers(tmp_path: Path) -> None:
    told = spec(tmp_path, python="/layer/bin/python", multi_model=True)
    files, _ = write_launch(told, "namespace")
    launch = Launch.read(files.launch)
    settings = ReplicaSettings.read(told.folder)
    assert settings.python == "/layer/bin/python"
    assert (settings.model, settings.multi_model) == ("/opt/ml/models", True)
    assert launch.command[0] == sys.executable
    assert launch.environment["PATH"].startswith("/layer/bin:")
    assert launch.environment["SAGEMAKER_MULTI_MODEL"] == "true"
