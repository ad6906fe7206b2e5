"""What parameters of rules are made of: the base of all of them, and how strings become values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from clary.errors import UsageError
from clary.formats.regular_expression import is_regular_expression

_EXPECTED = {
    "int_parsing": "be a whole number",
    "int_from_float": "be a whole number",
    "float_parsing": "be a number",
    "finite_number": "be a finite number",
    "bool_parsing": "be true or false",
}


def split_names(value: Any) -> Any:
    """A list of names, comma-separated."""
    if not isinstance(value, str):
        return value
    return tuple(name for name in (part.strip() for part in value.split(",")) if name)


def _patterns(value: Any) -> Any:
    """A list of regular expressions, comma-separated where each part is one by itself."""
    if not isinstance(value, str):
        return value
    # What AWS's own examples give for "every tensor" is no regular expression.
    text = ".*" if value.strip() == "*" else value
    # Not the comma of a repetition such as {1,3}.
    pieces = (piece.strip() for piece in re.split(r",(?!\d*\})", text))
    parts = tuple(piece for piece in pieces if piece)
    return parts if all(is_regular_expression(part) for part in parts) else (text,)


def _check_patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        if not is_regular_expression(pattern):
            raise ValueError("be a regular expression, or several with commas between them")
    return patterns


Names = Annotated[tuple[str, ...], BeforeValidator(split_names)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_patterns)]
Percent = Annotated[float, Field(ge=0, le=100)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Step = Annotated[int, Field(ge=0)]

_Parameters = TypeVar("_Parameters", bound="ParsedParameters")


class ParsedParameters(BaseModel):
    """The parameters of a rule, from strings.

    A parameter that is `None` or empty text is as if it had not been given, as SageMaker's
    documentation writes defaults. Names of rules' own parameters are AWS's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(
        cls: type[_Parameters], given: Mapping[str, str], rule: str = "the rule"
    ) -> _Parameters:
        """From strings.

        Args:
            given: names and texts, without the keys of `REQUEST_KEYS`.
            rule: its name, for the sentences.

        Raises:
            UsageError: one line per parameter that is unknown, missing or out of bounds.
        """
        values = {name: text for name, text in given.items() if text.strip() not in {"", "None"}}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = (_sentence(cls, rule, problem) for problem in error.errors())
            raise UsageError("\n".join(dict.fromkeys(lines))) from error

    @classmethod
    def names_in_words(cls) -> str:
        """What there is to give, for a sentence."""
        return ", ".join(cls.model_fields)

    def given(self) -> dict[str, str]:
        """What was given, as `parse` reads it."""
        return {name: _text(getattr(self, name)) for name in sorted(self.model_fields_set)}


class RuleParameters(ParsedParameters):
    """What every rule that judges tensors takes; the base of each rule's own parameters."""

    start_step: Step = Field(0, description="the first step that is judged")
    end_step: Step | None = Field(None, description="judged are steps before this one")
    published_defaults: bool = Field(
        False,
        description="judge by SageMaker's bare thresholds, without regard to frozen or pretrained "
        "layers and to noise",
    )

    @field_validator("*", mode="after")
    @classmethod
    def _regular_expressions(cls, value: Any, info: Any) -> Any:
        name = info.field_name or ""
        if "regex" in name and isinstance(value, tuple):
            return _check_patterns(value)
        return value


def _sentence(model: type[ParsedParameters], rule: str, problem: Any) -> str:
    name = str(problem["loc"][0]) if problem["loc"] else ""
    if not name:
        return str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, model.model_fields, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it takes {model.names_in_words()}"
        return f"{rule} has no parameter {name!r}: {hint}"
    reason = _EXPECTED.get(problem["type"]) or str(problem["msg"]).removeprefix(
        "Value error, "
    ).removeprefix("Input should ")
    field = model.model_fields.get(name)
    about = f" ({field.description})" if field is not None and field.description else ""
    return f"parameter {name} of {rule} is {problem['input']!r} but must {reason}{about}"


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
