"""What may be tried: ranges of hyperparameters, and the space that they span.

A range maps its values to positions between 0 and 1 on its own scale and back, so that a strategy
can draw positions without knowing what stands behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clary.errors import UsageError
from clary.tuner.bounds import check_bounds, check_name, is_whole, number
from clary.tuner.scaling import Scaling, Value, forward, inverse, resolve

MAX_RANGES = 30
MAX_VALUES = 30
# Beyond it a position between 0 and 1 does not tell neighbours on a logarithmic scale apart.
MAX_INTEGER = 10**12


@dataclass(frozen=True)
class ContinuousRange:
    """Any number from `low` to `high`, both included; both in the hyperparameter's own unit.

    Raises:
        UsageError: a bound is not a finite number, low is above high, or the scale does not hold
            the bounds: a logarithm needs numbers above 0, a reverse logarithm 0 ≤ x < 1.
    """

    name: str
    low: float
    high: float
    scaling: Scaling = "Auto"

    def __post_init__(self) -> None:
        check_bounds(self.name, self.low, self.high, self.scaling)
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))

    @property
    def scale(self) -> Scaling:
        """The scale that positions are on: `scaling`, with Auto decided."""
        return resolve(self.scaling, self.low, self.high)

    @property
    def size(self) -> int | None:
        """How many values there are; None where they cannot be counted."""
        return 1 if self.low == self.high else None

    def at(self, position: float) -> float:
        """The value at `position`, which lies between 0 (`low`) and 1 (`high`)."""
        start, end = forward(self.scale, self.low), forward(self.scale, self.high)
        value = inverse(self.scale, start * (1 - position) + end * position)
        return min(max(value, self.low), self.high)

    def position(self, value: Value) -> float:
        """Where `value`, a number within the range, lies between 0 and 1."""
        start, end = forward(self.scale, self.low), forward(self.scale, self.high)
        if start == end:
            return 0.5
        return min(max((forward(self.scale, float(value)) - start) / (end - start), 0.0), 1.0)

    def point(self, index: int) -> float:
        """The value number `index` of a range that holds one value."""
        return self.low

    def contains(self, value: Value) -> bool:
        """Whether `value` is a number of this range."""
        return not isinstance(value, str) and self.low <= value <= self.high

    def parse(self, text: str) -> float:
        """The value that SageMaker writes as `text`; it may lie outside the range.

        Raises:
            UsageError: the text is not a finite number.
        """
        return number(self.name, text)

    def text(self, value: Value) -> str:
        """`value` as SageMaker writes it; no digit is lost."""
        return repr(float(value))


@dataclass(frozen=True)
class IntegerRange:
    """Any whole number from `low` to `high`, both included.

    Raises:
        UsageError: a bound is not a whole number, is beyond ±10¹², or low is above high; the
            scaling is Logarithmic with low below 1, or ReverseLogarithmic.
    """

    name: str
    low: int
    high: int
    scaling: Scaling = "Auto"

    def __post_init__(self) -> None:
        for bound in (self.low, self.high):
            if isinstance(bound, bool) or not isinstance(bound, int):
                raise UsageError(
                    f"the range of {self.name} has the bound {bound!r}, which is not a whole "
                    "number: round it, or make the range continuous"
                )
            if abs(bound) > MAX_INTEGER:
                raise UsageError(
                    f"the range of {self.name} has the bound {bound}, which is beyond "
                    f"±{MAX_INTEGER}: bring it nearer to 0"
                )
        if self.scaling == "ReverseLogarithmic":
            raise UsageError(
                f"the range of {self.name} holds whole numbers, but a reverse logarithm needs a "
                "continuous range within 0 ≤ x < 1: choose another scaling"
            )
        check_bounds(self.name, self.low, self.high, self.scaling)

    @property
    def scale(self) -> Scaling:
        """The scale that positions are on: `scaling`, with Auto decided."""
        return resolve(self.scaling, self.low, self.high)

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.high - self.low + 1

    def _ends(self) -> tuple[float, float]:
        # Half a step more on both sides, or the two bounds would get half of their share.
        return forward(self.scale, self.low - 0.5), forward(self.scale, self.high + 0.5)

    def at(self, position: float) -> int:
        """The value at `position`, which lies between 0 (`low`) and 1 (`high`)."""
        start, end = self._ends()
        value = round(inverse(self.scale, start * (1 - position) + end * position))
        return min(max(value, self.low), self.high)

    def position(self, value: Value) -> float:
        """Where `value`, a number within the range, lies between 0 and 1."""
        start, end = self._ends()
        return min(max((forward(self.scale, float(value)) - start) / (end - start), 0.0), 1.0)

    def point(self, index: int) -> int:
        """The value number `index`, which counts from 0."""
        return self.low + index

    def contains(self, value: Value) -> bool:
        """Whether `value` is a whole number of this range."""
        return not isinstance(value, str) and self.low <= value <= self.high and value % 1 == 0

    def parse(self, text: str) -> int:
        """The value that SageMaker writes as `text`; it may lie outside the range.

        Raises:
            UsageError: the text is not a whole number.
        """
        value = number(self.name, text)
        if value % 1:
            raise UsageError(f"{self.name} is {text!r}, which is not a whole number: round it")
        return int(text) if is_whole(text) else int(value)

    def text(self, value: Value) -> str:
        """`value` as SageMaker writes it."""
        return str(int(value))


@dataclass(frozen=True)
class CategoricalRange:
    """One of `values`, 1 to 30 different texts, which are passed on as they are written.

    Raises:
        UsageError: there are no values, too many, or the same one twice.
    """

    name: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        check_name(self.name)
        if not 1 <= len(self.values) <= MAX_VALUES:
            raise UsageError(
                f"the range of {self.name} has {len(self.values)} values, but 1 to {MAX_VALUES} "
                "can be tried: name fewer, or give the bounds of a range of numbers"
            )
        for value in self.values:
            if not isinstance(value, str):
                raise UsageError(f"{self.name} may be {value!r}, which is no text: quote it")
            if self.values.count(value) > 1:
                raise UsageError(
                    f"the range of {self.name} holds {value!r} twice: name each value once"
                )

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.values)

    def at(self, position: float) -> str:
        """The value at `position`; each value has an equal share of the way from 0 to 1."""
        return self.values[min(int(position * self.size), self.size - 1)]

    def position(self, value: Value) -> float:
        """The middle of the share of `value`, one of the range's values, between 0 and 1."""
        return (self.values.index(str(value)) + 0.5) / self.size

    def point(self, index: int) -> str:
        """The value number `index`, which counts from 0."""
        return self.values[index]

    def contains(self, value: Value) -> bool:
        """Whether `value` is one of this range's values."""
        return value in self.values

    def parse(self, text: str) -> str:
        """The text itself; it may be none of the values."""
        return text

    def text(self, value: Value) -> str:
        """The value itself."""
        return str(value)


Range = ContinuousRange | IntegerRange | CategoricalRange


@dataclass(frozen=True)
class Space:
    """All combinations of the values of 1 to 30 ranges.

    Raises:
        UsageError: there are no ranges, too many, or two for one hyperparameter.
    """

    ranges: tuple[Range, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranges", tuple(self.ranges))
        if not 1 <= len(self.ranges) <= MAX_RANGES:
            raise UsageError(
                f"{len(self.ranges)} hyperparameters have a range, but 1 to {MAX_RANGES} can be "
                "tuned at once: " + ("give some a fixed value" if self.ranges else "name one")
            )
        for name in self.names:
            if self.names.count(name) > 1:
                raise UsageError(f"{name} has two ranges: give it one")

    @property
    def names(self) -> tuple[str, ...]:
        """The hyperparameters' names, in the order of the ranges."""
        return tuple(range_.name for range_ in self.ranges)

    @property
    def size(self) -> int | None:
        """How many combinations there are; None where they cannot be counted."""
        size = 1
        for range_ in self.ranges:
            if range_.size is None:
                return None
            size *= range_.size
        return size

    def point(self, index: int) -> dict[str, Value]:
        """Combination number `index` of a space that can be counted; the last range goes fastest.

        Raises:
            IndexError: the space has no such combination.
        """
        size = self.size
        if size is None or not 0 <= index < size:
            raise IndexError(f"the space has {size} combinations, and none has number {index}")
        values: dict[str, Value] = {}
        for range_ in reversed(self.ranges):
            assert range_.size is not None
            index, digit = divmod(index, range_.size)
            values[range_.name] = range_.point(digit)
        return {name: values[name] for name in self.names}

    def contains(self, values: Mapping[str, Value]) -> bool:
        """Whether `values` has exactly this space's names, each with a value of its range."""
        return values.keys() == set(self.names) and all(
            range_.contains(values[range_.name]) for range_ in self.ranges
        )

    def to_text(self, values: Mapping[str, Value]) -> dict[str, str]:
        """A combination's values as the strings that SageMaker gives to a training job."""
        return {range_.name: range_.text(values[range_.name]) for range_ in self.ranges}

    def from_text(self, values: Mapping[str, str]) -> dict[str, Value]:
        """The combination among a training job's strings, of which others are left out.

        The values may lie outside the ranges, as those of a parent's trials do.

        Raises:
            UsageError: a hyperparameter is missing, or is not a number where its range has numbers.
        """
        for name in self.names:
            if name not in values:
                raise UsageError(f"{name} has a range but no value: give it one")
        return {range_.name: range_.parse(values[range_.name]) for range_ in self.ranges}


_SCALINGS: dict[str, Scaling] = {
    "auto": "Auto",
    "linear": "Linear",
    "log": "Logarithmic",
    "reverse-log": "ReverseLogarithmic",
}


def parse_range(text: str) -> Range:
    """The range that a person writes as `lr=1e-4..1e-1:log` or `batch_size=32,64,128`.

    Two bounds without a point or an exponent make a range of whole numbers (`epochs=2..10`), other
    bounds a continuous one (`x=0..1.0`); scalings are auto, linear, log and reverse-log.

    Raises:
        UsageError: the text is not of that form, or there is no such range.
    """
    name, equals, values = text.partition("=")
    name, values = name.strip(), values.strip()
    if not (equals and name and values):
        raise UsageError(
            f"{text!r} is not a range: write one as lr=1e-4..1e-1:log, epochs=2..10 or "
            "batch_size=32,64,128"
        )
    low, dots, rest = values.partition("..")
    if not dots:
        return _parse_values(name, values)
    high, colon, word = rest.partition(":")
    if colon and word.strip() not in _SCALINGS:
        raise UsageError(
            f"the range of {name} has the scaling {word.strip()!r}: choose "
            f"{', '.join(list(_SCALINGS)[:-1])} or {list(_SCALINGS)[-1]}"
        )
    scaling: Scaling = _SCALINGS[word.strip()] if colon else "Auto"
    bounds = number(name, low), number(name, high)
    if bounds[0] == bounds[1]:
        raise UsageError(
            f"the range of {name} holds nothing but {low.strip()}: give it as a fixed value, or "
            "move a bound"
        )
    if is_whole(low) and is_whole(high) and scaling != "ReverseLogarithmic":
        return IntegerRange(name, int(low), int(high), scaling)
    return ContinuousRange(name, *bounds, scaling)


def _parse_values(name: str, values: str) -> CategoricalRange:
    _, colon, word = values.rpartition(":")
    if colon and word in _SCALINGS:
        raise UsageError(
            f"the range of {name} lists values, which have no scaling: leave {colon + word} out, "
            f"or give bounds ({name}=LOW..HIGH:{word})"
        )
    choices = tuple(value.strip() for value in values.split(","))
    if "" in choices:
        raise UsageError(f"the range of {name} has a comma too many: {values!r}")
    if len(choices) == 1:
        raise UsageError(
            f"the range of {name} holds nothing but {values}: give it as a fixed value, or add "
            "values after commas"
        )
    return CategoricalRange(name, choices)
