"""Tensors that are saved and read together, chosen by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clary.debugger.collection import BUILT_IN
from clary.formats.tensor_log.entries import CollectionRecord

from ..exceptions import SMDebugTypeError
from .modes import ModeKeys
from .reduction_config import ReductionConfig
from .save_config import SaveConfig, SaveConfigMode


class CollectionKeys:
    """The names of the collections that AWS knows."""

    DEFAULT = "default"
    ALL = "all"
    INPUTS = "inputs"
    OUTPUTS = "outputs"
    WEIGHTS = "weights"
    GRADIENTS = "gradients"
    LOSSES = "losses"
    BIASES = "biases"
    LAYERS = "layers"
    SM_METRICS = "sm_metrics"
    OPTIMIZER_VARIABLES = "optimizer_variables"
    TENSORFLOW_SUMMARIES = "tensorflow_summaries"
    METRICS = "metrics"
    HYPERPARAMETERS = "hyperparameters"
    PREDICTIONS = "predictions"
    LABELS = "labels"
    FEATURE_IMPORTANCE = "feature_importance"
    AVERAGE_SHAP = "average_shap"
    FULL_SHAP = "full_shap"
    TREES = "trees"


# What every hook has without being told.
DEFAULT_PYTORCH_COLLECTIONS = (
    CollectionKeys.ALL,
    CollectionKeys.DEFAULT,
    CollectionKeys.WEIGHTS,
    CollectionKeys.BIASES,
    CollectionKeys.GRADIENTS,
    CollectionKeys.LOSSES,
)
_WITHOUT_EXPRESSIONS = (CollectionKeys.ALL, CollectionKeys.DEFAULT)


class Collection:
    """Tensors by expressions that are found in their names, and by whole names.

    Args:
        name: of the collection.
        include_regex: a tensor belongs to it when one of these is found in its name.
        tensor_names: belong to it, too.
        reduction_config: what is kept; None as the hook says.
        save_config: when it is saved; None as the hook says; modes left out, too.
        save_histogram: whether the distribution of values is kept for TensorBoard.
    """

    def __init__(  # noqa: PLR0917 - as scripts call it
        self,
        name: str,
        include_regex: Iterable[str] | None = None,
        tensor_names: Iterable[str] | None = None,
        reduction_config: ReductionConfig | None = None,
        save_config: SaveConfig | Mapping[ModeKeys, SaveConfigMode | None] | None = None,
        save_histogram: bool = True,
    ) -> None:
        self.name = name
        self.include_regex = list(include_regex or ())
        self.tensor_names = set(tensor_names or ())
        self.reduction_config = reduction_config
        self.save_config = save_config
        self.save_histogram = save_histogram

    @property
    def save_config(self) -> SaveConfig | None:
        """When it is saved; None as the hook says."""
        return self._save_config

    @save_config.setter
    def save_config(self, given: SaveConfig | Mapping[ModeKeys, Any] | None) -> None:
        self._save_config = None if given is None else SaveConfig.parse(given)

    def include(self, t: str | Iterable[str]) -> None:
        """Add an expression, or several.

        Raises:
            SMDebugTypeError: it is something else.
        """
        given = [t] if isinstance(t, str) else t
        if not isinstance(given, (list, tuple)) or not all(isinstance(one, str) for one in given):
            raise SMDebugTypeError(
                f"{t!r} cannot be included: give an expression, or a list of them"
            )
        self.include_regex.extend(given)

    def has_tensor_name(self, tname: str) -> bool:
        """Whether a tensor belongs to it by its whole name."""
        return tname in self.tensor_names

    def add_tensor_name(self, tname: str) -> None:
        """Let a tensor belong to it."""
        self.tensor_names.add(tname)

    def remove_tensor_name(self, tname: str) -> None:
        """Let a tensor no more belong to it by its whole name."""
        self.tensor_names.discard(tname)

    def to_json_dict(self) -> dict[str, Any]:
        """As a dictionary."""
        return {
            "name": self.name,
            "include_regex": self.include_regex,
            "tensor_names": sorted(self.tensor_names),
            "reduction_config": self.reduction_config and self.reduction_config.to_json_dict(),
            "save_config": self.save_config and self.save_config.to_json_dict(),
            "save_histogram": self.save_histogram,
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Collection) and self.to_json_dict() == other.to_json_dict()

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Collection({self.name!r})"


def default_expressions(name: str) -> tuple[str, ...]:
    """The expressions that a collection of AWS's has by its name."""
    if name in _WITHOUT_EXPRESSIONS or name not in DEFAULT_PYTORCH_COLLECTIONS:
        return ()
    return BUILT_IN[name]


def recorded_collections(records: Mapping[str, CollectionRecord]) -> dict[str, Collection]:
    """The collections of a training as they were recorded, and those that every hook has."""
    found = {
        name: Collection(name, default_expressions(name)) for name in DEFAULT_PYTORCH_COLLECTIONS
    }
    for name, record in records.items():
        found[name] = Collection(name, record.include_regex, record.tensors)
    return found
