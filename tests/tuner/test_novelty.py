"""What has been tried, and what is left."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import SpaceExhausted
from clary.tuner.novelty import POOL, Tried, distance
from clary.tuner.ranges import Space, parse_range
from clary.tuner.scaling import Value
from tests.tuner.strategies import small_spaces, unhurried

LARGE = Space((parse_range("a=1..1000:linear"), parse_range("b=1..1000"), parse_range("c=x,y")))


@unhurried
@given(small_spaces(), st.data())
def test_the_first_untried_is_untried_and_the_first(space: Space, data: st.DataObject) -> None:
    assert space.size is not None
    points = [space.point(index) for index in range(space.size)]
    taken = [point for point in points if data.draw(st.booleans())]
    start = data.draw(st.integers(0, space.size - 1))
    left = [point for point in points[start:] + points[:start] if point not in taken]
    tried = Tried(space, taken)
    assert tried.leaves_some(space) == bool(left)
    if left:
        assert tried.first_untried(space, start) == left[0]
        near = tried.untried_near(space, points[start], Random(0))
        assert near in left
        assert distance(space, near, points[start]) == min(
            distance(space, point, points[start]) for point in left
        )
    else:
        with pytest.raises(SpaceExhausted, match="widen a range"):
            tried.first_untried(space)
        with pytest.raises(SpaceExhausted, match="widen a range"):
            tried.untried_near(space, points[start], Random(0))


def test_a_large_space_is_not_listed() -> None:
    assert LARGE.size == 2_000_000
    assert LARGE.size > POOL
    at = {"a": 500, "b": 500, "c": "x"}
    found = Tried(LARGE, [at]).untried_near(LARGE, at, Random(0))
    assert found != at
    assert LARGE.contains(found)


def test_what_lies_outside_the_space_was_not_tried_in_it() -> None:
    tried = Tried(LARGE, [{"a": 5000, "b": 1, "c": "x"}, {"a": 1}, {}])
    assert tried.first_untried(LARGE) == {"a": 1, "b": 1, "c": "x"}


def test_categories_are_as_far_apart_as_the_two_ends_of_a_range() -> None:
    one = {"a": 1, "b": 7, "c": "x"}
    assert distance(LARGE, one, one) == 0
    assert distance(LARGE, one, {**one, "c": "y"}) == 1
    assert distance(LARGE, one, {**one, "a": 1000}) == pytest.approx(1, abs=1e-2)


def test_an_almost_exhausted_space_is_not_walked_through_from_every_side() -> None:
    space = Space(tuple(parse_range(f"x{place}=0..3") for place in range(5)))
    size = space.size
    assert size is not None
    assert size <= POOL
    left = {3, size - 5}
    tried = Tried(space, (space.point(index) for index in range(size) if index not in left))
    asked: list[int] = []

    class Counting(Space):
        def point(self, index: int) -> dict[str, Value]:
            asked.append(index)
            return super().point(index)

    near = tried.untried_near(Counting(space.ranges), space.point(0), Random(0))
    assert near == space.point(3)
    assert len(asked) <= POOL
