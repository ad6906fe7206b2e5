from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.endpoint.admission import Admission
from clary.endpoint.invocation import Refusal


def test_as_many_may_wait_as_is_said_and_the_next_is_told_when() -> None:
    admission = Admission(lambda: 2, 3)
    for _ in range(5):
        admission.enter(60)
    assert (admission.in_flight, admission.waiting) == (5, 3)
    with pytest.raises(Refusal) as refused:
        admission.enter(60)
    assert refused.value.status == 503
    assert refused.value.retry_after_s == 1
    admission.leave(0.0, answered=True)
    admission.enter(60)


def test_by_default_a_hundred_wait_or_four_rounds() -> None:
    assert Admission(lambda: 2, None).bound == 100
    assert Admission(lambda: 64, None).bound == 256


def test_one_that_could_not_be_answered_in_time_is_refused_at_once() -> None:
    admission = Admission(lambda: 1, 1000)
    now = 0.0
    for _ in range(10):
        admission.enter(60)
    for _ in range(200):  # an answer every two seconds
        now += 2.0
        admission.leave(now, answered=True)
        admission.enter(60)
    assert admission.expected_wait_s == pytest.approx(20)
    with pytest.raises(Refusal, match=r"about 20 s, later than its deadline of 5 s") as refused:
        admission.enter(5)
    assert refused.value.retry_after_s == 15
    admission.enter(60)


def test_a_lone_request_is_never_refused_for_what_was_slow_before() -> None:
    admission = Admission(lambda: 1, 10)
    for _ in range(3):
        admission.enter(60)
    for now in (100.0, 200.0, 300.0):
        admission.leave(now, answered=True)
    admission.enter(0.001)


def test_those_who_give_up_say_nothing_of_the_pace() -> None:
    admission = Admission(lambda: 1, 1000)
    now = 0.0
    for _ in range(30):
        admission.enter(60)
    for _ in range(200):
        for _ in range(20):
            now += 0.1
            admission.leave(now, answered=False)
            admission.enter(60)
        admission.leave(now, answered=True)  # one in two seconds
        admission.enter(60)
    assert admission.expected_wait_s == pytest.approx(60)
    with pytest.raises(Refusal, match="about 60 s, later than its deadline of 5 s"):
        admission.enter(5)


@given(
    capacity=st.integers(1, 8),
    waiting=st.integers(1, 8),
    steps=st.lists(st.tuples(st.booleans(), st.floats(0, 10)), max_size=80),
)
def test_what_is_in_comes_out_and_never_exceeds_the_bounds(
    capacity: int, waiting: int, steps: list[tuple[bool, float]]
) -> None:
    admission = Admission(lambda: capacity, waiting)
    now, inside = 0.0, 0
    for enters, passed in steps:
        now += passed
        if enters:
            try:
                admission.enter(60)
                inside += 1
            except Refusal as refused:
                assert 1 <= (refused.retry_after_s or 0) <= 30
        elif inside:
            admission.leave(now, answered=True)
            inside -= 1
        assert admission.in_flight == inside <= capacity + waiting
        assert admission.expected_wait_s >= 0
