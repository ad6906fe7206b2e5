"""The help pages: pleasant at 80 columns, complete, and quick."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clary import __version__
from clary.cli.verbs import VERBS
from clary.formats.training_options import GROUPS, TrainingOptions
from tests.cli.conftest import Clary


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_the_first_page_shows_what_to_type(clary: Clary, words: tuple[str, ...]) -> None:
    ended = clary(*words)
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert "clary train photos/" in ended.stdout
    for verb in VERBS:
        assert f"  {verb.name} " in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 80


def test_version(clary: Clary) -> None:
    assert clary("--version").stdout == f"clary {__version__}\n"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_has_a_page(clary: Clary, verb: object) -> None:
    ended = clary(verb.name, "--help")  # type: ignore[attr-defined]
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"Usage: clary {verb.name}")  # type: ignore[attr-defined]
    assert "--empty-" not in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 80


def test_help_of_a_verb_by_word(clary: Clary) -> None:
    assert clary("help", "predict").stdout == clary("predict", "--help").stdout


def test_the_page_of_train_lists_every_training_option_in_its_group(clary: Clary) -> None:
    page = clary("train", "--help").stdout
    for name, field in TrainingOptions.model_fields.items():
        switched_off = field.annotation is bool and field.default
        assert f" --{'no-' if switched_off else ''}{name.replace('_', '-')} " in page, name
    titles = [page.index(f"─ {group} ─") for group in GROUPS.values()]
    assert titles == sorted(titles)


def test_groups_start_at_fields_in_their_order() -> None:
    fields = list(TrainingOptions.model_fields)
    assert fields[0] == next(iter(GROUPS))
    assert sorted(GROUPS, key=fields.index) == list(GROUPS)


def test_every_verb_names_a_function() -> None:
    for verb in VERBS:
        module, _, name = verb.function.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def loaded_by(words: list[str], home: Path) -> set[str]:
    """The packages that a command line loads."""
    script = (
        "import sys\n"
        "from clary.cli.main import main\n"
        "try:\n"
        f"    main({words!r})\n"
        "finally:\n"
        "    print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "CLARY_HOME": str(home)},
    )
    return set(ended.stderr.split())


def test_the_first_page_loads_only_what_draws_it(tmp_path: Path) -> None:
    # That is why it comes at once: most of what else is installed takes longer than all of this.
    loaded = loaded_by(["--help"], tmp_path)
    assert "rich" in loaded
    assert not loaded & {"cyclopts", "pydantic", "numpy", "requests", "boto3", "psutil", "torch"}


def test_a_model_is_asked_without_loading_what_asks_endpoints(tmp_path: Path) -> None:
    loaded = loaded_by(["predict", "nowhere", "x.jpg"], tmp_path)
    assert "cyclopts" in loaded
    assert not loaded & {"numpy", "boto3", "torch"}


def test_a_list_of_jobs_loads_no_arrays(tmp_path: Path) -> None:
    assert not loaded_by(["jobs"], tmp_path) & {"numpy", "PIL", "torch"}
