"""Names of timm's networks, read from its source: importing it takes seconds, this a blink.

What is found is surely there; what is not may be there nevertheless, and timm itself must be asked.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_REGISTERED = re.compile(r"^@register_model\s+def (\w+)\(", re.MULTILINE)
# A line of the tables of pretrained weights, such as `'resnet18.a1_in1k': _cfg(`.
_TAGGED = re.compile(r"""^ +['"](\w+)(\.\w+)['"]: """, re.MULTILINE)


def is_surely_known(name: str) -> bool:
    """Whether timm has a network of this name, as far as its source tells.

    Args:
        name: such as `resnet18` or, with a tag, `resnet18.a1_in1k`.
    """
    return name in registered_names() or name in _tagged_names()


@cache
def registered_names() -> frozenset[str]:
    """The names of timm's networks as its source has them; not all, but none else."""
    return frozenset(name for text in _sources() for name in _REGISTERED.findall(text))


@cache
def _tagged_names() -> frozenset[str]:
    known = registered_names()
    pairs = (pair for text in _sources() for pair in _TAGGED.findall(text))
    return frozenset(base + tag for base, tag in pairs if base in known)


@cache
def _sources() -> tuple[str, ...]:
    found = find_spec("timm")
    if found is None or found.origin is None:
        return ()
    paths = sorted((Path(found.origin).parent / "models").glob("*.py"))
    return tuple(path.read_text(encoding="utf-8") for path in paths)
