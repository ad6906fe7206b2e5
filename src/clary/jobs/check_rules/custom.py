"""Loads a class from a person's file, as a module of its own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from clary.errors import UsageError
from clary.formats.client_environment import SHIMS


def load_class(source: Path, name: str) -> object:
    """What the file calls `name`. Running the file may raise whatever it wants.

    Beside the file's own folder, the name `smdebug` can be imported.

    Args:
        source: a Python file.
        name: of the class.

    Raises:
        UsageError: there is no such file, or nothing of that name in it.
    """
    if not source.is_file():
        raise UsageError(f"{source} is not there: give the file of the custom rule")
    for folder in (str(source.parent), str(SHIMS)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    specification = importlib.util.spec_from_file_location(source.stem, source)
    if specification is None or specification.loader is None:
        raise UsageError(f"{source} is no Python file: its name must end in .py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[source.stem] = module
    specification.loader.exec_module(module)
    try:
        return getattr(module, name)
    except AttributeError as error:
        classes = [one for one, value in vars(module).items() if isinstance(value, type)]
        raise UsageError(
            f"{source.name} holds no class {name!r} (rule_to_invoke): it has "
            f"{', '.join(classes) or 'none'}"
        ) from error
