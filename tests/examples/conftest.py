"""The examples as their readers run them: every cell, in order, in a kernel of theirs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.clients.environments import (
    ClientEnvironment,
    notebook,
    own_kernel,
    sagemaker3,
    through_clary,
)
from tests.examples.notebooks import Notebook
from tests.examples.stages import PROPERTY
from tests.one_service import clary_environment

__all__ = ["clary_environment", "notebook", "own_kernel", "sagemaker3"]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
KERNEL = "example"
RunExample = Callable[..., Notebook]


@pytest.fixture
def run_example(
    clary_environment: Mapping[str, str],
    notebook: ClientEnvironment,
    hub_cache: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> RunExample:
    """A function that runs an example's notebook, and returns it as it was executed.

        run_example("cifar10_resnet18", EPOCHS="1", CIFAR10=str(folder))

    The example's folder is copied, so that nothing is left in it. The kernel runs in the
    environment `notebook`, or in that of `client`, through `clary exec` and with a service that the
    notebooks of a module share; `variables` are added to its environment. The seconds of the
    notebook's stages reach the table at the end of the tests.
    """

    def run(
        folder: str,
        *,
        file: str = "train_and_deploy.ipynb",
        client: ClientEnvironment = notebook,
        **variables: str,
    ) -> Notebook:
        copy = tmp_path / folder
        shutil.copytree(EXAMPLES / folder, copy)
        executed = Notebook(copy / file)
        title = executed.title
        environment = {
            **clary_environment,
            **jupyter_folders(tmp_path / f"jupyter-{folder}", client),
            "TORCH_HOME": str(hub_cache),
            **variables,
        }
        driver = Path(__file__).with_name("execute_notebook.py")
        command = (notebook.python, driver, executed.path, KERNEL)
        ended = through_clary(environment, copy, *command)
        executed = Notebook(executed.path)
        row = {"title": title, "folder": folder, "seconds": executed.seconds}
        request.node.user_properties.append((PROPERTY, row))
        assert ended.returncode == 0, f"{executed.text[-6000:]}\n{ended.stderr[-6000:]}"
        return executed

    return run


def jupyter_folders(jupyter: Path, client: ClientEnvironment) -> dict[str, str]:
    """Variables that give Jupyter a kernel of this client, and no folder of anybody else's."""
    kernel = jupyter / "kernels" / KERNEL
    kernel.mkdir(parents=True)
    argv = [str(client.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    description = {"argv": argv, "display_name": "Python 3", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(description))
    return {
        "JUPYTER_PATH": str(jupyter),
        "JUPYTER_RUNTIME_DIR": str(jupyter / "runtime"),
        "IPYTHONDIR": str(jupyter / "ipython"),
    }
