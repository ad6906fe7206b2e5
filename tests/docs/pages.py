"""What a page of the documentation tells its reader to type, in the order of the page.

A block of `sh` holds commands, one of `console` a transcript whose `$ ` lines are commands, one of
`python` code of one interpreter for each page. Comments, which no reader sees, say the rest; each
is about the next block:

    <!-- not run: it needs an account of AWS -->    the block cannot be run, for this reason
    <!-- first: clary deploy latest -->             brings about what the page assumes
    <!-- exits: 0 1 -->                             what its commands may end with; 0 if not said
    <!-- python: notebook -->                       the interpreter: that of people's notebooks
    <!-- python first                               code that the page assumes
    estimator = …
    -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PART = re.compile(
    r"^<!--\s*(?P<comment>.*?)\s*-->|^```(?P<kind>[a-z]*)\n(?P<body>.*?)^```",
    flags=re.DOTALL | re.MULTILINE,
)
_WORDS = re.compile(
    r"(?P<word>not run|first|exits|python first|python)\b:?\s*(?P<rest>.*)", re.DOTALL
)
RUN = ("sh", "console", "python")


@dataclass(frozen=True)
class Block:
    """A block of code with what the comments before it say."""

    page: str
    line: int
    kind: str
    text: str
    reason: str | None
    first: tuple[str, ...]
    exits: frozenset[int]
    interpreter: str
    assumed: str

    @property
    def commands(self) -> list[str]:
        """The command lines, without the words behind `#`."""
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        if self.kind == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        bare = (re.sub(r"(^|\s+)#(\s.*)?$", "", line).strip() for line in lines)
        return [line for line in bare if line]


def blocks_of(page: Path) -> Iterator[Block]:
    """All blocks of a page, those that are not run too.

    Raises:
        ValueError: a comment is none of those above, or is about no block.
    """
    text = page.read_text(encoding="utf-8")
    said: list[tuple[str, str]] = []
    for part in _PART.finditer(text):
        if part["comment"] is not None:
            words = _WORDS.fullmatch(part["comment"])
            if words is None:
                raise ValueError(f"{page.name}: the comment {part['comment']!r} says nothing here")
            said.append((words["word"], words["rest"]))
            continue
        exits = [rest.split() for word, rest in said if word == "exits"]
        yield Block(
            page=page.name,
            line=text.count("\n", 0, part.start()) + 1,
            kind=part["kind"],
            text=part["body"],
            reason=next((rest for word, rest in said if word == "not run"), None),
            first=tuple(rest for word, rest in said if word == "first"),
            exits=frozenset(map(int, exits[-1])) if exits else frozenset({0}),
            interpreter=next((rest for word, rest in said if word == "python"), "clary"),
            assumed="\n".join(rest for word, rest in said if word == "python first"),
        )
        said = []
    if said:
        raise ValueError(f"{page.name}: no block follows the comment {said[-1]}")
