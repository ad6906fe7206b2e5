"""Sizes of files and functions, and docstrings that say what is raised."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import clary.errors
from clary.errors import ClaryError

FILE_LINES = 400
FUNCTION_LINES = 80
ERRORS = {
    name
    for name, value in vars(clary.errors).items()
    if isinstance(value, type) and issubclass(value, ClaryError)
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def public_functions(tree: ast.Module) -> Iterator[Function]:
    """Functions and methods that other modules may call, at the top or in a public class."""
    for node in tree.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if isinstance(inner, Function) and not inner.name.startswith("_"):
                    yield inner


def raised_by_itself(function: Function) -> set[str]:
    """Clary's errors that the body raises by name, and that it does not catch itself."""
    caught = {
        name.id
        for node in ast.walk(function)
        if isinstance(node, ast.ExceptHandler) and node.type is not None
        for name in ast.walk(node.type)
        if isinstance(name, ast.Name)
    }
    raised = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            target = node.exc.func
            if isinstance(target, ast.Name) and target.id in ERRORS:
                raised.add(target.id)
    return raised - caught


def test_files_have_400_lines_at_most(sources: list[Path], root: Path) -> None:
    lengths = {path.relative_to(root): len(path.read_text().splitlines()) for path in sources}
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES} == {}


def test_functions_have_80_lines_at_most(sources: list[Path], root: Path) -> None:
    long = {}
    for path in sources:
        for function in functions(ast.parse(path.read_text())):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > FUNCTION_LINES:
                long[f"{path.relative_to(root)}:{function.name}"] = lines
    assert long == {}


def test_public_functions_say_what_they_raise(sources: list[Path], root: Path) -> None:
    silent = []
    for path in sources:
        for function in public_functions(ast.parse(path.read_text())):
            raised = raised_by_itself(function)
            if raised and "Raises:" not in (ast.get_docstring(function) or ""):
                silent.append(f"{path.relative_to(root)}:{function.lineno} {function.name}")
    assert silent == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("raise DataError('x')", {"DataError"}),
        ("raise ValueError('x')", set()),
        ("try:\n        raise DataError('x')\n    except DataError:\n        pass", set()),
        ("if x:\n        raise ModelError('x') from None", {"ModelError"}),
    ],
)
def test_what_counts_as_raised(body: str, expected: set[str]) -> None:
    function = next(functions(ast.parse(f"def f(x):\n    {body}\n")))
    assert raised_by_itself(function) == expected


def test_the_tree_of_errors_in_the_docstring_is_the_tree() -> None:
    drawn = clary.errors.__doc__ or ""
    for name in ERRORS:
        assert name in drawn
