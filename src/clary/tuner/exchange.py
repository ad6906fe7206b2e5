"""A question to `suggest` and its answer as JSON, for a process that answers in another's stead.

Both processes are of one installation and nothing is kept, so that there is no version. Figures
that are not finite are written as Python's JSON writes them: NaN and Infinity.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clary.errors import FormatError, SpaceExhausted
from clary.tuner.ranges import CategoricalRange, ContinuousRange, IntegerRange, Range, Space
from clary.tuner.scaling import Value
from clary.tuner.search import Search
from clary.tuner.trials import Trial

_KINDS: dict[str, type[Range]] = {
    "continuous": ContinuousRange,
    "integer": IntegerRange,
    "categorical": CategoricalRange,
}


@dataclass(frozen=True)
class Question:
    """What `suggest` is called with."""

    search: Search
    trials: Sequence[Trial]
    number: int
    parents: Sequence[Trial] = ()


def write_question(question: Question) -> str:
    """A question as one line of JSON."""
    search = {
        **asdict(question.search),
        "space": [_write_range(range_) for range_ in question.search.space.ranges],
    }
    return json.dumps(
        {
            "search": search,
            "trials": [_write_trial(trial) for trial in question.trials],
            "number": question.number,
            "parents": [_write_trial(trial) for trial in question.parents],
        }
    )


def read_question(text: str) -> Question:
    """The question that `write_question` wrote.

    Raises:
        FormatError: the text is no such question.
        UsageError: it asks for something that a search cannot be.
    """
    try:
        read = json.loads(text)
        space = Space(tuple(_read_range(range_) for range_ in read["search"]["space"]))
        return Question(
            Search(**{**read["search"], "space": space}),
            [_read_trial(trial) for trial in read["trials"]],
            read["number"],
            [_read_trial(trial) for trial in read["parents"]],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"the question cannot be read ({error!r}): write it with clary.tuner.exchange of the "
            "same version"
        ) from error


def write_answer(answer: Mapping[str, Value] | SpaceExhausted) -> str:
    """An answer as one line of JSON: a combination, or that there is none left."""
    if isinstance(answer, SpaceExhausted):
        return json.dumps({"exhausted": str(answer)})
    return json.dumps({"parameters": dict(answer)})


def read_answer(text: str) -> dict[str, Value]:
    """The combination that `write_answer` wrote.

    Raises:
        FormatError: the text is no such answer.
        SpaceExhausted: the answer is that there is none left.
    """
    try:
        answer: dict[str, Any] = json.loads(text)
        exhausted = answer.get("exhausted")
        parameters = answer.get("parameters")
    except (ValueError, AttributeError) as error:
        raise FormatError(f"the answer {text[:80]!r} is not JSON as it was promised") from error
    if isinstance(exhausted, str):
        raise SpaceExhausted(exhausted)
    if not isinstance(parameters, dict):
        raise FormatError(f"the answer {text[:80]!r} names no parameters")
    return parameters


def _write_range(range_: Range) -> dict[str, Any]:
    kind = next(kind for kind, type_ in _KINDS.items() if isinstance(range_, type_))
    return {"kind": kind, **asdict(range_)}


def _read_range(fields: Mapping[str, Any]) -> Range:
    return _KINDS[fields["kind"]](**{key: fields[key] for key in fields if key != "kind"})


def _write_trial(trial: Trial) -> dict[str, Any]:
    return {**asdict(trial), "parameters": dict(trial.parameters)}


def _read_trial(fields: Mapping[str, Any]) -> Trial:
    return Trial(**{**fields, "curve": tuple(fields["curve"])})
