"""The report as a notebook: plain code over the files beside it."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from typing import Any

_CELLS = "notebook_cells.txt"
_MARKDOWN, _CODE = "# %% [markdown]", "# %%"


def notebook_text(job: str) -> str:
    """The notebook, format 4.5, not yet run.

    Args:
        job: its name, for the title.
    """
    cells = [_markdown(f"# Profile of {job}"), *_cells()]
    for number, cell in enumerate(cells):
        text = f"{number}{''.join(cell['source'])}"
        cell["id"] = hashlib.sha256(text.encode()).hexdigest()[:12]
    content = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1)


def _cells() -> list[dict[str, Any]]:
    """Each stands behind a line `# %%`, as in a script of cells."""
    text = (files(__package__) / "templates" / _CELLS).read_text(encoding="utf-8")
    found: list[dict[str, Any]] = []
    for part in text.split(f"\n{_CODE}")[1:]:
        head, _, body = part.partition("\n")
        body = body.strip()
        if head.strip() == _MARKDOWN.removeprefix(_CODE).strip():
            lines = (line.removeprefix("#").removeprefix(" ") for line in body.splitlines())
            found.append(_markdown("\n".join(lines)))
        else:
            found.append(
                {
                    "cell_type": "code",
                    "execution_count": None,
                    "metadata": {},
                    "outputs": [],
                    "source": _lines(body),
                }
            )
    return found


def _markdown(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": _lines(text)}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
