"""Every command and all Python of the documentation is run, page by page, as its reader would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import RUN, Block, blocks_of
from tests.docs.workshop import Workshop, open_workshop

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "formats").glob("*.md")),
]
# Records of what was done and decided: they tell nobody to type anything.
PAGES = [page for page in PAGES if page.name != "experiments.md"]
# Commands that show what is there, or make the same again: once is enough for all pages.
ONCE = (
    "run",
    "check",
    "train",
    "tune",
    "report",
    "explain",
    "export",
    "predict",
    "debug",
    "profile",
)
MOST_NOT_RUN = 16


def blocks(page: Path) -> list[Block]:
    return [block for block in blocks_of(page) if block.kind in RUN]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT).with_suffix(""))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A home with photos and two trained models, the same for all pages."""
    with open_workshop(tmp_path_factory.mktemp("reader")) as made:
        made.train()
        yield made


@pytest.fixture(scope="module")
def seen() -> set[str]:
    """Commands that have been run and need not be again."""
    return set()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name_of)
def test_what_a_page_says_works(page: Path, workshop: Workshop, seen: set[str]) -> None:
    with workshop.reader() as reader:
        for block in blocks(page):
            if block.reason is not None:
                continue
            for command in block.first:
                reader.types(command)
            if block.kind == "python":
                reader.runs(f"{block.assumed}\n{block.text}", block.interpreter)
                continue
            for command in block.commands:
                words = command.split()
                if words[0] == "make" or command in seen:
                    continue
                # 1 says that a rule has found something, as it may in so few pictures.
                finds = command.startswith("clary debug ")
                reader.types(command, block.exits | ({1} if finds else set()))
                if words[0] == "clary" and words[1] in ONCE and "photos" not in words[1:]:
                    seen.add(command)


def test_no_command_hides_in_a_block_that_is_not_run() -> None:
    hidden = [
        f"{block.page}, line {block.line}"
        for page in PAGES
        for block in blocks_of(page)
        if block.kind not in RUN
        and any(line.startswith(("clary ", "$ ", "aws ")) for line in block.text.splitlines())
    ]
    assert hidden == []


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    reasons = {
        f"{block.page}, line {block.line}": block.reason
        for page in PAGES
        for block in blocks_of(page)
        if block.reason is not None
    }
    assert all(reason and len(reason.split()) > 2 for reason in reasons.values()), reasons
    assert len(reasons) <= MOST_NOT_RUN, reasons
