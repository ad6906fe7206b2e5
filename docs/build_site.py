"""Build the documentation as a site that needs no network: `build/docs/html/index.html`.

Pages are laid out in `build/docs/source` first: those of `docs/`, those of the repository's root,
and the notebooks of `examples/`. Links between files become links between pages.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from sphinx.cmd.build import build_main

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
BUILD = ROOT / "build" / "docs"
SOURCE, HTML = BUILD / "source", BUILD / "html"
PICTURES = {".svg", ".png"}

_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_FENCE = re.compile(r"(^```.*?^```)", flags=re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"^<!--.*?-->\n", flags=re.DOTALL | re.MULTILINE)
_FETCHED = re.compile(
    r"<(?:script|img|source)[^>]*\ssrc=\"(?:https?:)?//|<link[^>]*href=\"(?:https?:)?//"
)


def pages() -> dict[Path, Path]:
    """Where each file of the repository lies in the site, relative to its root."""
    found = {path: path.relative_to(DOCS) for path in DOCS.rglob("*.md")}
    for path in DOCS.rglob("*"):
        if path.suffix in PICTURES:
            found[path] = path.relative_to(DOCS)
    for path in ROOT.glob("*.md"):
        if path.name != "README.md":
            found[path] = Path(path.name.lower())
    for path in sorted((ROOT / "examples").glob("*/*.ipynb")):
        found[path] = Path("examples") / f"{path.parent.name}.md"
    return found


def laid_out(path: Path, placed: Mapping[Path, Path]) -> str:
    """The Markdown of a page, with links that hold in the site."""
    text = notebook_page(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
    parts = _FENCE.split(_COMMENT.sub("", text))
    for place in range(0, len(parts), 2):
        parts[place] = _LINK.sub(lambda found: _link(found, path, placed), parts[place])
    text = "".join(parts)
    return text + contents(text) if path == DOCS / "index.md" else text


def _link(found: re.Match[str], path: Path, placed: Mapping[Path, Path]) -> str:
    target, hash_, anchor = found["target"].partition("#")
    if not target or ":" in target:
        return found[0]
    meant = (path.parent / target).resolve()
    if meant in placed:
        near = os.path.relpath(placed[meant], placed[path].parent)
        return f"{found['image']}[{found['text']}]({near}{hash_}{anchor})"
    if not meant.exists():
        raise SystemExit(f"{path.relative_to(ROOT)}: the link {found['target']} leads nowhere")
    # A file of the repository that the site does not show.
    return found["text"] if "`" in found["text"] else f"`{found['text']}`"


def contents(text: str) -> str:
    """The site's contents, from the headings and lists of its first page."""
    trees = []
    for caption, body in re.findall(r"^## (.+)\n\n((?:- .*\n)+)", text, flags=re.MULTILINE):
        lines = re.findall(r"^- \[([^\]]+)\]\(([^)]+)\)", body, flags=re.MULTILINE)
        entries = "\n".join(f"{title} <{page.removesuffix('.md')}>" for title, page in lines)
        trees.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n")
    return "\n" + "\n".join(trees)


def notebook_page(path: Path) -> str:
    """A notebook and the scripts beside it as Markdown."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join([*map(_cell, cells), *_scripts(path.parent)]) + "\n"


def _cell(cell: Mapping[str, object]) -> str:
    source = cell["source"]
    text = source if isinstance(source, str) else "".join(map(str, source or ()))
    if cell["cell_type"] == "markdown":
        return text.strip()
    return f"```python\n{text.strip()}\n```"


def _scripts(folder: Path) -> Iterator[str]:
    for script in sorted(folder.rglob("*.py")):
        code = script.read_text(encoding="utf-8").strip()
        yield f"## `{script.relative_to(folder)}`\n\n```python\n{code}\n```"


def toctrees_below(placed: Mapping[Path, Path]) -> None:
    """Pages that lists of other pages name are their children."""
    for parent in ("formats/index.md", "decisions/index.md", "examples.md"):
        page = SOURCE / parent
        text = page.read_text(encoding="utf-8")
        names = re.findall(r"^\| \[[^\]]+\]\(([^)#]+)\.md\)", text, flags=re.MULTILINE)
        if names:
            entries = "\n".join(dict.fromkeys(names))
            page.write_text(
                f"{text}\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n", encoding="utf-8"
            )


def main() -> int:
    """Build all pages; 1 when something is wrong with one of them."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    placed = pages()
    for path, place in placed.items():
        target = SOURCE / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in PICTURES:
            shutil.copy(path, target)
        else:
            target.write_text(laid_out(path, placed), encoding="utf-8")
    toctrees_below(placed)
    words = ["--quiet", "--fail-on-warning", "--keep-going", "--builder", "html"]
    if build_main([*words, "--conf-dir", str(DOCS), str(SOURCE), str(HTML)]):
        return 1
    fetched = [
        str(page.relative_to(HTML))
        for page in HTML.rglob("*.html")
        if _FETCHED.search(page.read_text(encoding="utf-8"))
    ]
    if fetched:
        print(f"these pages fetch something from the network: {', '.join(fetched)}")
        return 1
    print(f"{HTML / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
