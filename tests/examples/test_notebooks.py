"""What holds of every example before it is run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES
from tests.examples.notebooks import Notebook, stages_of
from tests.examples.stages import STAGES

NOTEBOOKS = sorted(EXAMPLES.glob("*/*.ipynb"))
OWN = "clary_sdk"


def name_of(path: Path) -> str:
    return str(path.relative_to(EXAMPLES))


@pytest.fixture(params=NOTEBOOKS, ids=name_of)
def example(request: pytest.FixtureRequest) -> Notebook:
    return Notebook(request.param)


def test_it_is_a_notebook_that_has_not_been_run(example: Notebook) -> None:
    assert (example.content["nbformat"], example.content["nbformat_minor"]) == (4, 5)
    assert example.content["metadata"]["kernelspec"]["name"] == "python3"
    assert example.title
    assert example.outputs == []
    assert {cell["execution_count"] for cell in example.code} == {None}
    ids = [cell["id"] for cell in example.content["cells"]]
    assert len(set(ids)) == len(ids)


def test_every_cell_belongs_to_a_stage_and_every_stage_has_some(example: Notebook) -> None:
    found = [stages_of(cell) for cell in example.code]
    assert [stages for stages in found if len(stages) != 1] == []
    assert {stage for stages in found for stage in stages} == set(STAGES)


def test_it_is_written_for_sagemaker(example: Notebook) -> None:
    files = [example.path, *example.path.parent.rglob("*.py")]
    if example.path.parent.name != OWN:
        assert [name_of(file) for file in files if "clary" in file.read_text().lower()] == []


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*/**/*.py")), ids=name_of)
def test_a_script_is_python(script: Path) -> None:
    assert ast.get_docstring(ast.parse(script.read_text()))
