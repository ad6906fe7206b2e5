"""What the documents name exists: commands, make targets, paths, formats."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from clary import settings
from clary.cli.parser import build_app
from clary.cli.training_parameters import given_options
from clary.cli.verbs import VERBS
from clary.formats.training_options import GROUPS, TrainingOptions
from clary.sdk.training_space import own_space

# Folders whose paths a document may name; what is not below one of them is a person's own file.
OURS = ("src/", "tests/", "docs/", "benchmarks/", "examples/", "requirements/", ".ci/")


def command_lines(page: Path, program: str) -> Iterator[str]:
    """Lines of code blocks and inline code that begin with a program's name."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in [line for block in blocks for line in block.splitlines()] + inline:
        words = re.split(r"  | # | [|>] ", line.strip().removeprefix("$ "))[0]
        if re.match(rf"{program} [a-z-]", words):
            yield words


def all_commands(documents: list[Path], program: str) -> list[tuple[str, str]]:
    return [(page.name, line) for page in documents for line in command_lines(page, program)]


def test_every_clary_command_in_a_document_parses(documents: list[Path]) -> None:
    found = all_commands(documents, "clary")
    assert found
    verbs = {verb.name for verb in VERBS}
    for page, line in found:
        words = shlex.split(line)[1:]
        if words[0] == "--version" or words == [words[0]] or "--help" in words:
            assert words[0] in verbs or words[0].startswith("--"), f"{page}: {line}"
            continue
        try:
            _, bound, _ = build_app().parse_args(words, exit_on_error=False, print_error=False)
        except CycloptsError as error:
            pytest.fail(f"{page}: {line}: {error}")
        if words[0] in {"train", "tune"}:
            fields = TrainingOptions.model_fields
            typed = {name: value for name, value in bound.arguments.items() if name in fields}
            given = given_options(typed)
            TrainingOptions.parse(given)
            if bound.arguments.get("space"):
                own_space(bound.arguments["space"], given, 0)


def test_every_make_target_in_a_document_exists(documents: list[Path], root: Path) -> None:
    found = all_commands(documents, "make")
    assert found
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), flags=re.MULTILINE))
    for page, line in found:
        named = [word for word in line.split()[1:] if "=" not in word]
        assert set(named) <= targets, f"{page}: {line}"


def test_every_path_of_ours_in_a_document_exists(documents: list[Path], root: Path) -> None:
    missing = []
    for page in documents:
        text = page.read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^)#:]+)\)", text)
        missing += [f"{page.name}: {link}" for link in links if not (page.parent / link).exists()]
        for path in re.findall(r"(?<![\w./-])((?:\.?[\w-]+/)[\w./*-]*)", text):
            if path.startswith(OURS) and not any(root.glob(path.rstrip("/.") or ".")):
                missing.append(f"{page.name}: {path}")
    assert missing == []


def test_every_format_has_its_page(root: Path) -> None:
    for module in (root / "src" / "clary" / "formats").glob("*.py"):
        for page in re.findall(r"docs/formats/(\w+)\.md", module.read_text()):
            assert (root / "docs" / "formats" / f"{page}.md").is_file(), f"{module.name}: {page}"


def test_every_format_with_a_version_names_a_page(root: Path) -> None:
    for module in (root / "src" / "clary" / "formats").glob("*.py"):
        text = module.read_text()
        if re.search(r"^VERSION = ", text, flags=re.MULTILINE):
            assert re.search(r"docs/formats/\w+\.md", text), module.name


def test_the_page_of_the_options_lists_each_once_with_its_default(root: Path) -> None:
    page = (root / "docs" / "formats" / "training_options.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", page, flags=re.MULTILINE)
    fields = TrainingOptions.model_fields
    assert [name for name, _, _ in rows] == list(fields)
    for name, default, about in rows:
        value = fields[name].default
        shown = "" if value in {None, ()} else f"`{str(value).lower()}`"
        assert default == shown, name
        assert about == fields[name].description, name
    headings = re.findall(r"^## (\w+)$", page, flags=re.MULTILINE)
    assert [title for title in headings if title in GROUPS.values()] == list(GROUPS.values())


def test_every_setting_is_on_the_page_of_the_service(root: Path) -> None:
    known = re.findall(r"^\| `(CLARY_\w+)`", settings.__doc__ or "", flags=re.MULTILINE)
    page = (root / "docs" / "service.md").read_text()
    assert known
    assert sorted(re.findall(r"^\| `(CLARY_\w+)` \|", page, flags=re.MULTILINE)) == sorted(known)


def test_every_benchmark_is_on_its_page_in_the_order_of_the_summary(root: Path) -> None:
    summary = ast.parse((root / "benchmarks" / "summary.py").read_text())
    (names,) = (
        ast.literal_eval(node.value)
        for node in summary.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "BENCHMARKS"
    )
    page = (root / "docs" / "benchmarks.md").read_text()
    assert tuple(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)) == names


def test_every_room_stands_in_the_architecture(root: Path) -> None:
    text = (root / "ARCHITECTURE.md").read_text()
    house = root / "src" / "clary"
    packages = [path.parent for path in house.glob("*/__init__.py")]
    rooms = [f"{path.name}/" for path in packages]
    rooms += [path.name for path in house.glob("*.py") if not path.name.startswith("__")]
    assert [room for room in rooms if f"`{room}" not in text] == []


def test_no_document_has_a_placeholder(documents: list[Path]) -> None:
    for page in documents:
        assert not re.search(r"\b(TODO|TBD|FIXME|XXX|lorem ipsum)\b", page.read_text()), page.name
