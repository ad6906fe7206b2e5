"""Clary for an interpreter that has none: the package that this folder lies in."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
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


def others_clary() -> str | None:
    """Where somebody else's module `clary` is, which `find_clary` would hide; None for nowhere."""
    spec = _found()
    if spec is None or _is_ours(spec):
        return None
    return spec.origin or str(next(iter(spec.submodule_search_locations or ()), "clary"))


def _is_importable() -> bool:
    """Whether `import clary` would find this very package, and not somebody's `clary.py`."""
    spec = _found()
    return spec is not None and _is_ours(spec)


def _found() -> ModuleSpec | None:
    """What `import clary` would find, or has found."""
    if "clary" in sys.modules:
        loaded = sys.modules["clary"]
        # One that was made by hand has none.
        return loaded.__spec__ or ModuleSpec(
            "clary", None, origin=getattr(loaded, "__file__", None)
        )
    return find_spec("clary")


def _is_ours(spec: ModuleSpec) -> bool:
    return spec.origin is not None and Path(spec.origin).resolve() == _PACKAGE / "__init__.py"
