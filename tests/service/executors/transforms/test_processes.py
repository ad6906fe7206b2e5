"""Transform jobs on this machine, as the executor keeps them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from clary.errors import ClaryError
from clary.service.executors.local_processes import LocalProcesses
from tests.service.executors.conftest import Bench
from tests.service.executors.replicas.conftest import FRAMEWORK_IMAGE, put_model
from tests.service.executors.transforms.test_plans import job


def test_what_was_stopped_is_remembered_until_the_job_is_tidied_up(
    bench: Bench, executor: LocalProcesses, tmp_path: Path
) -> None:
    bench.put("in/a", b"a")
    # Code that installs by itself gets an interpreter of its own.
    handlers = b"import os\n\nos.system('pip install nothing')\n"
    archive = put_model(bench, "m", {"code/inference.py": handlers})
    container = {"Image": FRAMEWORK_IMAGE, "ModelDataUrl": archive}
    asked = dataclasses.replace(job(tmp_path), model={"PrimaryContainer": container})
    executor.transforms.kill(asked)
    with pytest.raises(ClaryError, match="was stopped"):
        executor.transforms.prepare(asked)
    executor.transforms.tidy(asked)
    executor.transforms.prepare(asked)
