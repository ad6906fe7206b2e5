"""Clary for an interpreter that has none: the package that this folder lies in."""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[2]


def find_clary() -> None:
    """Make `clary` importable, by its path: nothing beside it becomes importable with it.

    A notebook's interpreter must not see what is installed for Clary's own, which may be of
    another Python.

    Raises:
        ImportError: this folder does not lie in Clary's package.
    """
    if "clary" in sys.modules or _is_importable():
        return
    spec = spec_from_file_location(
        "clary", _PACKAGE / "__init__.py", submodule_search_locations=[str(_PACKAGE)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{_PACKAGE} holds no clary: install it, or mend its folder")
    module = module_from_spec(spec)
    sys.modules["clary"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules["clary"]
        raise


def _is_importable() -> bool:
    """Whether `import clary` would find this very package, and not somebody's `clary.py`."""
    spec = find_spec("clary")
    return (
        spec is not None
        and spec.origin is not None
        and Path(spec.origin).resolve() == _PACKAGE / "__init__.py"
    )
