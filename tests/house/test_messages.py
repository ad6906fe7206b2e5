"""Every error speaks with one voice: a sentence with the value, the bound and what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from clary import errors

CLASSES = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.ClaryError)
}
# Names, and words that AWS's own clients are known to look for.
MAY_BEGIN = (
    "Hyperband ",
    "Predictor ",
    "ClientError: ",
    "Failed to extract model data archive",
    "An objective metric is missing",
)
# A name such as CLARY_PORT or TrainingJobName, which is a capital's reason.
NAME = re.compile(r"[A-Z]+_[A-Z_]+\b|[A-Z][a-z]+[A-Z]\w*")
REMEDY = re.compile(r": |; | must |, or | as in `")
# What is a part of a longer sentence, or brings one that says what to do.
PARTS = (
    "in the range of {}, {}",
    "the Clary service was stopped",
    "the program {} was killed by {}",
    "no trial of {} has an objective{}",
    "the {} {} ended as {}{}",
    "the tuning job {} ended as {}{}",
    "the tuning job {} has made all its {} trials{}",
    "the watching ended before the first answer",
)


def messages(sources: list[Path]) -> Iterator[tuple[Path, int, str, str]]:
    """Where an error of ours is made: the file, the line, the class and the text."""
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            text = _text(node.args[0]) if node.func.id in CLASSES and node.args else None
            if text is not None:
                yield path, node.lineno, node.func.id, text


def test_messages_are_sentences_of_one_kind(sources: list[Path]) -> None:
    found = list(messages(sources))
    assert len(found) > 400
    capitals = [
        f"{path}:{line}: {text}"
        for path, line, _, text in found
        if text[:1].isupper() and not NAME.match(text) and not text.startswith(MAY_BEGIN)
    ]
    assert capitals == [], "begin with a small letter"
    ends = [
        f"{path}:{line}: {text}"
        for path, line, _, text in found
        if text.endswith((".", "!", "\n")) and not text.startswith(MAY_BEGIN)
    ]
    assert ends == [], "end without a full stop"


def test_who_types_is_told_what_to_do(sources: list[Path]) -> None:
    rooms = {"cli", "sdk"}
    without = [
        f"{path}:{line}: {text}"
        for path, line, kind, text in messages(sources)
        if rooms & set(path.parts)
        and kind != "Interrupted"
        and not REMEDY.search(text)
        and text not in PARTS
        and re.search(r"[a-z]{3}", text)
    ]
    assert without == [], "say what to do"


def _text(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
    return None
