"""Several models in one process: each with its own code, the least recently used out."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from clary.endpoint.handlers.model_cache import ModelCache
from clary.endpoint.handlers.requests import Request

SCRIPT = """
import breeds

loads = []

def model_fn(model_dir):
    loads.append(model_dir)
    return breeds.NAME

def transform_fn(model, body, content_type, accept):
    import lately

    return f"{model} {lately.NAME} {len(loads)}"
"""


@dataclass
class Settings:
    model: str
    multi_model: bool = True
    models_kept: int = 2


def write_model(root: Path, name: str, says: str) -> str:
    code = root / name / "code"
    code.mkdir(parents=True)
    (code / "inference.py").write_text(SCRIPT)
    (code / "breeds.py").write_text(f"NAME = {says!r}\n")
    (code / "lately.py").write_text(f"NAME = {says.upper()!r}\n")
    return str(root / name)


@pytest.fixture(autouse=True)
def _modules_as_before() -> object:
    path, before = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name in {"inference", "breeds", "lately"}:
            del sys.modules[name]


def said(cache: ModelCache, folder: str) -> str:
    answer = cache.answer(Request(body=b"", model=folder))
    assert answer.status == 200, answer.body.decode()
    return answer.body.decode()


def test_each_sees_its_own_modules_also_those_it_imports_late(tmp_path: Path) -> None:
    folders = [write_model(tmp_path, name, name) for name in ("a", "b")]
    cache = ModelCache(Settings(str(tmp_path)), {}, gpu=None)
    for _ in range(2):
        assert [said(cache, folder) for folder in folders] == ["a A 1", "b B 1"]
    assert cache.loaded == folders


def test_the_least_recently_used_goes(tmp_path: Path) -> None:
    a, b, c = (write_model(tmp_path, name, name) for name in ("a", "b", "c"))
    cache = ModelCache(Settings(str(tmp_path)), {}, gpu=None)
    for folder in (a, b, a, c):
        said(cache, folder)
    assert cache.loaded == [a, c]
    assert said(cache, b) == "b B 1"
    assert cache.loaded == [c, b]


def test_a_folder_that_was_replaced_is_another_model(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "a", "old")
    cache = ModelCache(Settings(str(tmp_path)), {}, gpu=None)
    assert said(cache, folder) == "old OLD 1"
    Path(folder).rename(tmp_path / "gone")
    write_model(tmp_path, "a", "new")
    assert said(cache, folder) == "new NEW 1"
    shutil.rmtree(tmp_path / "gone")
    assert cache.loaded == [folder]


def test_a_single_model_is_loaded_once_and_stays(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "model", "dogs")
    cache = ModelCache(Settings(folder, multi_model=False), {}, gpu=None)
    assert cache.prepare() is None
    assert [said(cache, folder) for _ in range(2)] == ["dogs DOGS 1"] * 2
