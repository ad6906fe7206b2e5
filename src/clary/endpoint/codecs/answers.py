"""Which form of answer a client accepts, and probabilities in that form.

| Accept                        | answer                                                       |
|-------------------------------|--------------------------------------------------------------|
| application/json, */*, none   | one list of probabilities per picture                        |
| application/json;verbose=true | {"predictions": [{"label", "probability", "probabilities"}]} |
| application/x-npy             | float32 of shape (N, classes)                                |
| text/csv                      | a line per picture                                           |

The same as `code/inference.py` of a model archive answers on AWS.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from clary.endpoint.invocation import Refusal

AnswerType = Literal["application/json", "application/x-npy", "text/csv"]
# The first is what a client gets that accepts several alike.
ANSWER_TYPES: tuple[AnswerType, ...] = ("application/json", "application/x-npy", "text/csv")
_QUALITY = re.compile(r"(0(\.\d*)?|1(\.0*)?)")


@dataclass(frozen=True)
class AnswerForm:
    """A content type, and whether the classes are named."""

    content_type: AnswerType
    verbose: bool = False


@dataclass(frozen=True)
class _Wish:
    """One element of an Accept header."""

    kind: str
    quality: float
    verbose: bool

    def rank(self, content_type: AnswerType) -> tuple[int, float] | None:
        """How closely it names the type, and how much it is wanted; None for another type."""
        main, _, _ = content_type.partition("/")
        places = {"*/*": 0, f"{main}/*": 1, content_type: 2}
        return (places[self.kind], self.quality) if self.kind in places else None


def negotiate(accept: str) -> AnswerForm:
    """The form that a client wants most, of those that are offered.

    Args:
        accept: the header, quality values included; empty means no preference.

    Raises:
        Refusal: 406, none of them is offered.
    """
    wishes = [wish for part in accept.split(",") if (wish := _wish(part))]
    if not wishes:
        return AnswerForm("application/json")
    best: tuple[float, AnswerForm] | None = None
    for content_type in ANSWER_TYPES:
        named = [(rank, wish) for wish in wishes if (rank := wish.rank(content_type))]
        if not named:
            continue
        # As HTTP has it: the closest name decides, whatever a wider one says.
        (_, quality), wish = max(named, key=lambda pair: pair[0])
        if quality > 0 and (best is None or quality > best[0]):
            verbose = wish.verbose and content_type == "application/json"
            best = (quality, AnswerForm(content_type, verbose))
    if best is None:
        raise Refusal(
            406,
            f"accept {accept[:200]!r} is not offered: ask for application/json, "
            "application/json;verbose=true, application/x-npy or text/csv",
        )
    return best[1]


def encode_answer(
    probabilities: npt.NDArray[np.float32], classes: Sequence[str], accept: str
) -> tuple[bytes, str]:
    """An answer's body and its content type.

    Args:
        probabilities: float32 of shape (N, classes), a row per picture.
        classes: their names.
        accept: the header of the request; empty means no preference.

    Raises:
        Refusal: 406, what is accepted is not offered.
    """
    form = negotiate(accept)
    if form.content_type == "application/x-npy":
        buffer = io.BytesIO()
        np.save(buffer, probabilities, allow_pickle=False)
        return buffer.getvalue(), form.content_type
    if form.content_type == "text/csv":
        rows = (",".join(repr(float(value)) for value in row) for row in probabilities)
        return ("\n".join(rows) + "\n").encode(), form.content_type
    content: Any = probabilities.tolist()
    if form.verbose:
        content = {"predictions": [_named(row, classes) for row in probabilities]}
    return json.dumps(content).encode(), form.content_type


def _wish(part: str) -> _Wish | None:
    kind, *parameters = [piece.strip().lower() for piece in part.split(";")]
    if not kind:
        return None
    quality, verbose = 1.0, False
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            # A quality that cannot be read counts as none given.
            quality = float(value) if _QUALITY.fullmatch(value.strip()) else 1.0
        elif name.strip() == "verbose":
            verbose = value.strip().strip('"') != "false"
    return _Wish("*/*" if kind == "*" else kind, quality, verbose)


def _named(row: npt.NDArray[np.float32], classes: Sequence[str]) -> dict[str, Any]:
    best = int(row.argmax())
    return {
        "label": classes[best],
        "probability": float(row[best]),
        "probabilities": dict(zip(classes, row.tolist(), strict=True)),
    }
