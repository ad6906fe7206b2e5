"""What a hook keeps of a tensor in place of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clary.debugger.parameters import flag
from clary.debugger.reductions import Reductions

from ..exceptions import SMDebugValueError

ALLOWED_REDUCTIONS = ["min", "max", "mean", "std", "variance", "sum", "prod"]
ALLOWED_NORMS = ["l1", "l2"]


class ReductionConfig:
    """Reductions and norms, of values and of absolute values; without any, tensors are whole.

    Args:
        reductions: of `ALLOWED_REDUCTIONS`.
        abs_reductions: the same, of absolute values.
        norms: of `ALLOWED_NORMS`.
        abs_norms: the same, of absolute values.
        save_raw_tensor: keep the whole tensor, too.
        save_shape: keep the shape.

    Raises:
        SMDebugValueError: a name is none of those.
    """

    def __init__(  # noqa: PLR0917 - as scripts call it
        self,
        reductions: Iterable[str] | None = None,
        abs_reductions: Iterable[str] | None = None,
        norms: Iterable[str] | None = None,
        abs_norms: Iterable[str] | None = None,
        save_raw_tensor: bool = False,
        save_shape: bool = False,
    ) -> None:
        self.reductions = _checked("reduction", reductions, ALLOWED_REDUCTIONS)
        self.abs_reductions = _checked("reduction", abs_reductions, ALLOWED_REDUCTIONS)
        self.norms = _checked("norm", norms, ALLOWED_NORMS)
        self.abs_norms = _checked("norm", abs_norms, ALLOWED_NORMS)
        self.save_raw_tensor = save_raw_tensor
        self.save_shape = save_shape

    @classmethod
    def from_dict(cls, params: Mapping[str, Any]) -> ReductionConfig:
        """From `{"reductions": "min,abs_max,l1_norm", "save_raw_tensor": "false"}`.

        Raises:
            SMDebugValueError: a name is none of those.
        """
        lists: dict[str, list[str]] = {}
        for part in str(params.get("reductions", "")).split(","):
            name = part.strip().removesuffix("_norm")
            bare = name.removeprefix("abs_")
            if bare:
                kind = "norms" if bare in ALLOWED_NORMS else "reductions"
                lists.setdefault(f"abs_{kind}" if bare != name else kind, []).append(bare)
        return cls(
            **lists,
            save_raw_tensor=flag("save_raw_tensor", params.get("save_raw_tensor", False)),
            save_shape=flag("save_shape", params.get("save_shape", False)),
        )

    def to_json_dict(self) -> dict[str, Any]:
        """As a dictionary."""
        return dict(vars(self))

    def kept(self) -> Reductions:
        """The same in Clary's terms."""
        names = {
            *self.reductions,
            *self.norms,
            *(f"abs_{name}" for name in (*self.abs_reductions, *self.abs_norms)),
        }
        return Reductions(
            frozenset(names),
            raw=self.save_raw_tensor or not (names or self.save_shape),
            shapes=self.save_shape and not names,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReductionConfig) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(self.kept())

    def __repr__(self) -> str:
        return f"ReductionConfig({self.to_json_dict()})"


def _checked(kind: str, given: Iterable[str] | None, allowed: list[str]) -> list[str]:
    names = [] if given is None else list(given)
    for name in names:
        if name not in allowed:
            raise SMDebugValueError(f"{name!r} is no {kind}: choose among {', '.join(allowed)}")
    return names
