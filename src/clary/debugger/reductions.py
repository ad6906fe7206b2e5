"""What is kept of a tensor that is captured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clary.debugger.parameters import flag, texts
from clary.errors import UsageError

NAMES = ("min", "max", "mean", "std", "variance", "sum", "prod", "l1", "l2")
PARAMETERS = ("reductions", "save_raw_tensor", "save_shape", "save_histogram")


@dataclass(frozen=True)
class Reductions:
    """What is kept: by default all statistics that can be had in one pass, and nothing else.

    Args:
        names: reductions that are asked for by name, `abs_` before a name for the absolute
            values. Statistics always hold all but `prod` and `abs_min`, which cost a pass more.
        raw: the whole tensor, too.
        shapes: nothing but the shape.
        histogram: how values are distributed.
        exact_updates: keep a copy of weights, so that `update_l2` is exact for large ones, too.
    """

    names: frozenset[str] = frozenset()
    raw: bool = False
    shapes: bool = False
    histogram: bool = False
    exact_updates: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", frozenset(map(_known, self.names)))

    @property
    def product(self) -> bool:
        """Whether a product is asked for."""
        return bool(self.names & {"prod", "abs_prod"})

    @property
    def smallest_absolute(self) -> bool:
        """Whether the smallest absolute value is asked for."""
        return "abs_min" in self.names

    def joined(self, other: Reductions) -> Reductions:
        """What either asks for, for a tensor that is in two collections."""
        return Reductions(
            self.names | other.names,
            raw=self.raw or other.raw,
            shapes=self.shapes and other.shapes,
            histogram=self.histogram or other.histogram,
            exact_updates=self.exact_updates or other.exact_updates,
        )

    @classmethod
    def parse(cls, parameters: Mapping[str, str], base: Reductions | None = None) -> Reductions:
        """As SageMaker's parameters say: where no reductions are named, the whole tensor is kept.

        Args:
            parameters: of a hook or a collection.
            base: what a collection inherits when it says nothing itself.

        Raises:
            UsageError: a reduction is unknown, or a flag is neither true nor false.
        """
        if base is not None and not any(name in parameters for name in PARAMETERS):
            return base
        inherited = base or cls()
        names = frozenset(texts(parameters.get("reductions", ""))) or inherited.names
        shapes = flag("save_shape", parameters.get("save_shape", inherited.shapes))
        raw = flag("save_raw_tensor", parameters.get("save_raw_tensor", False))
        histogram = flag("save_histogram", parameters.get("save_histogram", inherited.histogram))
        return cls(
            names,
            raw=raw or not (names or shapes),
            shapes=shapes and not names,
            histogram=histogram,
        )


def _known(name: str) -> str:
    bare = name.removesuffix("_norm")
    if bare.removeprefix("abs_") not in NAMES:
        raise UsageError(
            f"the reduction {name!r} is unknown: choose among {', '.join(NAMES)}, "
            "with abs_ before it for absolute values"
        )
    return bare
