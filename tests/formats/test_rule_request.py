"""What the program that checks rules is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import FormatError
from clary.formats.rule_request import (
    RuleConfiguration,
    RuleRequest,
    ended_marker,
    mark_ended,
    results_folder,
)


def test_a_request_comes_back(tmp_path: Path) -> None:
    request = RuleRequest(
        job="dogs",
        tensors=(Path("/a/output/tensors"), Path("/b/output/tensors")),
        rules=(
            RuleConfiguration(name="V", rule="VanishingGradient", parameters={"threshold": "1"}),
            RuleConfiguration(name="C", rule="Mine", source=Path("/c.py"), others=("s3://b/o",)),
        ),
        learning={"pretrained": True, "hyperparameters": {"lr": "0.1"}},
    )
    request.write(tmp_path)
    assert RuleRequest.read(tmp_path) == request


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not readable as JSON"),
        ('{"version": 2}', "install a newer Clary"),
        ('{"version": 1}', "not a request to check rules"),
    ],
)
def test_a_request_that_cannot_be_read_says_why(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "request.json").write_text(content)
    with pytest.raises(FormatError, match=words):
        RuleRequest.read(tmp_path)


def test_the_end_is_marked(tmp_path: Path) -> None:
    assert not ended_marker(tmp_path).exists()
    mark_ended(tmp_path)
    mark_ended(tmp_path)
    assert ended_marker(tmp_path).exists()


@pytest.mark.parametrize("name", ["VanishingGradient", "my rule", "a_b-c.d"])
def test_a_name_of_a_folder_stays(tmp_path: Path, name: str) -> None:
    assert results_folder(tmp_path, name) == tmp_path / name


@given(st.lists(st.text(min_size=1, max_size=256), min_size=2, max_size=2, unique=True))
def test_any_name_gives_a_folder_of_its_own(names: list[str]) -> None:
    root = Path("/rules")
    try:
        first, second = (results_folder(root, name) for name in names)
    except UnicodeEncodeError:  # a lone surrogate, which no request can hold
        return
    assert first != second
    for folder in (first, second):
        assert folder.parent == root
        assert len(folder.name.encode()) <= 255
        assert folder.name not in {"request.json", "ended", ".", ".."}
