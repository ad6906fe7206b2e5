"""Collections of a hook, which also choose tensors by modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.debugger.collection import Collection as Captured

from ..core.collection import DEFAULT_PYTORCH_COLLECTIONS, default_expressions
from ..core.collection import Collection as NamedCollection
from ..exceptions import SMDebugError


class Collection(NamedCollection):
    """Tensors by names and expressions, and inputs and outputs of modules."""

    def __init__(self, name: str, *given: Any, **named: Any) -> None:
        super().__init__(name, *given, **named)
        self.captured: list[Captured] = []
        """As a configuration file has said it, each time: counts where a script says nothing."""
        self.modules: dict[Any, tuple[bool, bool]] = {}
        """Modules whose inputs and whose outputs belong to it."""

    def add_module_tensors(self, module: Any, inputs: bool = False, outputs: bool = True) -> None:
        """Let inputs or outputs of a module belong to it.

        Args:
            module: a part of the module that the hook is registered on, or that one.
            inputs: whether its inputs belong to it.
            outputs: whether its outputs do.
        """
        self.modules[module] = (inputs, outputs)

    def take(self, captured: Captured) -> None:
        """Be what a configuration file says of it."""
        self.captured.append(captured)
        self.include(list(captured.include_regex))

    def expressions(self, paths: Mapping[Any, str]) -> tuple[str, ...]:
        """Its expressions, and those of its modules, by the paths of modules."""
        found = list(self.include_regex)
        for module, (inputs, outputs) in self.modules.items():
            path = paths.get(module)
            if path is not None:
                found += [f"{path}_input_"] if inputs else []
                found += [f"{path}_output_"] if outputs else []
        return tuple(found)


class CollectionConfig(Collection):
    """A collection as the SageMaker SDK gives it: a name, and parameters that are texts."""

    def __init__(self, name: str, parameters: Mapping[str, str] | None = None) -> None:
        """Take the parameters as `debughookconfig.json` would.

        Raises:
            UsageError: a parameter is unknown, or its value cannot be used.
        """
        from clary.debugger.configuration import HookConfiguration

        document = {"CollectionName": name, "CollectionParameters": dict(parameters or {})}
        parsed = HookConfiguration.parse({"CollectionConfigurations": [document]})
        super().__init__(name)
        self.take(next(one for one in parsed.collections if one.name == name))


class CollectionManager:
    """The collections of one hook, by name."""

    def __init__(self) -> None:
        self.collections = {
            name: Collection(name, default_expressions(name))
            for name in DEFAULT_PYTORCH_COLLECTIONS
        }

    def get(self, name: str, create: bool = True) -> Collection:
        """A collection; made when it is missing.

        Raises:
            SMDebugError: it is missing, and shall not be made.
        """
        if name not in self.collections:
            if not create:
                raise SMDebugError(f"no collection is named {name!r}: get_collections() has them")
            self.collections[name] = Collection(name)
        return self.collections[name]

    def add(self, collection: Collection | str) -> None:
        """Take a collection in place of one of the same name; of a name alone, make it."""
        if isinstance(collection, str):
            self.get(collection)
        else:
            self.collections[collection.name] = collection
