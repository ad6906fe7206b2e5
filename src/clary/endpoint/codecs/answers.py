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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from clary.endpoint.accept_header import ANYTHING, Wish, parse_accept
from clary.endpoint.invocation import Refusal

AnswerType = Literal["application/json", "application/x-npy", "text/csv"]
# The first is what a client gets that accepts several alike.
ANSWER_TYPES: tuple[AnswerType, ...] = ("application/json", "application/x-npy", "text/csv")


@dataclass(frozen=True)
class AnswerForm:
    """A content type, and whether the classes are named."""

    content_type: AnswerType
    verbose: bool = False


def negotiate(accept: str) -> AnswerForm:
    """The form that a client wants most, of those that are offered.

    Args:
        accept: the header, quality values included; empty means no preference.

    Raises:
        Refusal: 406, none of them is offered.
    """
    wishes = parse_accept(accept)
    if not wishes:
        return AnswerForm("application/json")
    best: tuple[float, AnswerForm] | None = None
    for content_type in ANSWER_TYPES:
        wish = _closest(wishes, content_type)
        if wish is not None and wish.quality > 0 and (best is None or wish.quality > best[0]):
            verbose = content_type == "application/json" and _is_verbose(wish)
            best = (wish.quality, AnswerForm(content_type, verbose))
    if best is None:
        raise Refusal(
            406,
            f"accept {accept[:200]!r} is not offered: ask for application/json, "
            "application/json;verbose=true, application/x-npy or text/csv",
        )
    return best[1]


def encode_answer(
    probabilities: npt.NDArray[np.float32], classes: Sequence[str], form: AnswerForm
) -> bytes:
    """An answer's body.

    Args:
        probabilities: float32 of shape (N, classes), a row per picture.
        classes: their names.
        form: what was negotiated.
    """
    if form.content_type == "application/x-npy":
        buffer = io.BytesIO()
        np.save(buffer, probabilities, allow_pickle=False)
        return buffer.getvalue()
    if form.content_type == "text/csv":
        rows = (",".join(repr(float(value)) for value in row) for row in probabilities)
        return ("\n".join(rows) + "\n").encode()
    content: Any = probabilities.tolist()
    if form.verbose:
        content = {"predictions": [_named(row, classes) for row in probabilities]}
    return json.dumps(content).encode()


def _closest(wishes: Sequence[Wish], content_type: str) -> Wish | None:
    """The wish that decides about a type: the closest name, whatever a wider one says."""
    family, _, _ = content_type.partition("/")
    closeness = {ANYTHING: 0, f"{family}/*": 1, content_type: 2}
    named = [wish for wish in wishes if wish.kind in closeness]
    return max(named, key=lambda wish: (closeness[wish.kind], wish.quality), default=None)


def _is_verbose(wish: Wish) -> bool:
    return wish.parameters.get("verbose", "false").strip('"') != "false"


def _named(row: npt.NDArray[np.float32], classes: Sequence[str]) -> dict[str, Any]:
    best = int(row.argmax())
    return {
        "label": classes[best],
        "probability": float(row[best]),
        "probabilities": dict(zip(classes, row.tolist(), strict=True)),
    }
