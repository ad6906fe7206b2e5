"""A tuning job's request as its search."""

from __future__ import annotations

from typing import Any

import pytest

from clary.errors import UsageError
from clary.service.supervisor.tuning.definitions import ranges_of, read_definitions
from clary.tuner.search import suggest
from tests.service.supervisor.tuning.conftest import (
    OBJECTIVE,
    X,
    new_tuning_job,
    training_definition,
)


def test_each_of_several_definitions_draws_its_own_points() -> None:
    several = [
        training_definition(DefinitionName=name, TuningObjective=OBJECTIVE, HyperParameterRanges=X)
        for name in ("one", "two")
    ]
    request = new_tuning_job("several", definitions=several).request
    firsts = [suggest(one.search, [], 1) for one in read_definitions(request, seed=1)]
    assert firsts[0] != firsts[1]
    again = [suggest(one.search, [], 1) for one in read_definitions(request, seed=1)]
    assert again == firsts
    other_seed = [suggest(one.search, [], 1) for one in read_definitions(request, seed=2)]
    assert not any(one in firsts for one in other_seed)


def test_an_only_definition_is_drawn_with_the_seed_that_was_asked_for() -> None:
    (definition,) = read_definitions(new_tuning_job("alone").request, seed=5)
    assert definition.search.seed == 5


def numbers(kind: str, low: str, high: str) -> dict[str, Any]:
    one = {"Name": "x", "MinValue": low, "MaxValue": high}
    asked = {"ParameterRanges": {f"{kind}ParameterRanges": [one]}}
    return {"HyperParameterTuningJobConfig": asked}


@pytest.mark.parametrize("kind", ["Continuous", "Integer"])
@pytest.mark.parametrize("bound", ["1_0", "٣", "0x5", "nan", "inf", "1e", "", "1 0"])
def test_a_bound_is_a_number_as_people_write_it(kind: str, bound: str) -> None:
    with pytest.raises(UsageError, match=r"MaxValue of the range of x is .* which is no number"):
        ranges_of(numbers(kind, "0", bound), {})


@pytest.mark.parametrize(("bound", "value"), [("10", 10), (" 1e1 ", 10), ("+10.0", 10)])
def test_numbers_with_a_sign_a_point_or_an_exponent_are_read(bound: str, value: int) -> None:
    for kind in ("Continuous", "Integer"):
        (found,) = ranges_of(numbers(kind, "-5", bound), {})
        assert (found.low, found.high) == (-5, value)  # type: ignore[union-attr]
