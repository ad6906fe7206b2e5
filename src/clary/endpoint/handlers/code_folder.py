"""The folder of a script: how it is imported, and how several of them share one process."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

DEFAULT_PROGRAM = "inference.py"
_PROGRAM = "SAGEMAKER_PROGRAM"
_SUBMITTED = "SAGEMAKER_SUBMIT_DIRECTORY"


class CodeFolder:
    """A script and the modules beside it.

    From `enter` to `leave` its folder is first on the search path and its modules are those that
    `import` finds. Two models may each bring a `model.py`: neither ever sees the other's.
    """

    def __init__(self, folder: Path, program: str) -> None:
        self.folder = folder
        self.script = folder / program
        self._modules: dict[str, ModuleType] = {}
        self._entered = False
        self._path = list(dict.fromkeys((str(self.script.parent), str(folder))))

    @classmethod
    def of(cls, model_dir: str, environment: Mapping[str, str]) -> CodeFolder:
        """The code of a model, as the variables of its container name it."""
        return cls(_code_folder(Path(model_dir), environment), _program_name(environment))

    def load(self) -> ModuleType | None:
        """Import the script; None where there is none. What it raises goes through.

        To be called after `enter`.
        """
        if not self.script.is_file():
            return None
        self._make_way()
        importlib.invalidate_caches()
        name = self.script.stem
        spec = spec_from_file_location(name, self.script)
        if spec is None or spec.loader is None:
            raise ImportError(f"{self.script} cannot be imported: its name must end in .py")
        module = module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return module

    def enter(self) -> None:
        """Have `import` find this folder's modules. Does nothing the second time."""
        if self._entered:
            return
        self._entered = True
        sys.path[:0] = self._path
        sys.modules.update(self._modules)

    def leave(self) -> None:
        """Put this folder's modules away until `enter` is called again."""
        if not self._entered:
            return
        self._entered = False
        for entry in self._path:
            if entry in sys.path:
                sys.path.remove(entry)
        self._modules = {
            name: module for name, module in list(sys.modules.items()) if self._holds(module)
        }
        for name in self._modules:
            del sys.modules[name]

    def _holds(self, module: ModuleType) -> bool:
        """Whether a module's file, or one of a package's folders, lies in here."""
        places = [getattr(module, "__file__", None)]
        try:
            places += list(getattr(module, "__path__", None) or ())
        except Exception:  # noqa: BLE001 - anything may stand in sys.modules
            places = places[:1]
        inside = f"{self.folder}{os.sep}"
        return any(isinstance(place, str) and place.startswith(inside) for place in places)

    def hidden(self) -> set[str]:
        """Names of loaded modules that this folder brings, too: those of a fork's parent."""
        brought = {
            entry.name.partition(".")[0]
            for folder in map(Path, self._path)
            if folder.is_dir()
            for entry in folder.iterdir()
            if entry.suffix == ".py" or (entry.is_dir() and (entry / "__init__.py").exists())
        }
        foreign = brought - {"clary", "sitecustomize"} - set(sys.stdlib_module_names)
        return {
            name for name in foreign if name in sys.modules and not self._holds(sys.modules[name])
        }

    def _make_way(self) -> None:
        """Forget the modules that this folder hides, so that its own are imported."""
        hidden = self.hidden()
        for name in list(sys.modules):
            if name.partition(".")[0] in hidden:
                del sys.modules[name]


def _code_folder(model_dir: Path, environment: Mapping[str, str]) -> Path:
    """Where a model's code is: `code/` beside it, else where SAGEMAKER_SUBMIT_DIRECTORY says."""
    own = model_dir / "code"
    submitted = environment.get(_SUBMITTED, "")
    if submitted.startswith("file:"):
        submitted = unquote(urlsplit(submitted).path)
    if submitted.startswith("/") and Path(submitted).is_dir() and not own.is_dir():
        return Path(submitted)
    return own


def _program_name(environment: Mapping[str, str]) -> str:
    """The script that holds the handlers, relative to the folder of the code."""
    name = environment.get(_PROGRAM, "").strip() or DEFAULT_PROGRAM
    return name if name.endswith(".py") else f"{name}.py"
