"""The messages that the page about symptoms quotes are those that the code has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GAP = "…"


def texts(tree: ast.AST) -> Iterator[str]:
    """All strings of a module, with gaps in place of what is filled in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def quoted(page: str) -> list[str]:
    """The messages of the first column: code of more than two words."""
    cells = re.findall(r"^\| (`.*?) \| ", page, flags=re.MULTILINE)
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    return [message for message in messages if len(message.split()) > 2]


def test_quoted_messages_are_in_the_code() -> None:
    said = [
        text
        for path in (ROOT / "src" / "clary").rglob("*.py")
        for text in texts(ast.parse(path.read_text(encoding="utf-8")))
    ]
    messages = quoted((ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8"))
    assert len(messages) > 15
    missing = []
    for message in messages:
        pieces = [piece for piece in message.split(GAP) if piece.strip()]
        wanted = re.compile(".*?".join(map(re.escape, pieces)), flags=re.DOTALL)
        if not any(wanted.search(text) for text in said):
            missing.append(message)
    assert missing == []
