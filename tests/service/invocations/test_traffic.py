from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clary.service.invocations.traffic import KEPT_MS, Traffic


def test_open_requests_are_counted_by_replica() -> None:
    traffic = Traffic()
    traffic.begin("a")
    assert traffic.begin_at_least(["a", "b"]) == "b"
    traffic.begin("b")
    assert traffic.begin_at_least(["a", "b"]) == "a"
    assert [traffic.outstanding(name) for name in "abc"] == [2, 2, 0]
    for _ in range(2):
        traffic.end("a")
    assert traffic.outstanding("a") == 0


@given(st.lists(st.integers(0, 10 * 60_000), max_size=60), st.integers(0, 600), st.integers(0, 600))
def test_invocations_of_a_span_are_counted(at: list[int], begin_s: int, end_s: int) -> None:
    traffic = Traffic()
    for at_ms in sorted(at):
        traffic.note("endpoint", "variant", at_ms)
    counted = traffic.invocations("endpoint", "variant", begin_s * 1000, end_s * 1000)
    assert counted == sum(begin_s * 1000 <= at_ms < end_s * 1000 for at_ms in at)
    assert traffic.last_ms("endpoint", "variant") == max(at, default=None)


def test_only_the_last_minutes_are_kept_and_an_endpoint_can_be_forgotten() -> None:
    traffic = Traffic()
    traffic.note("endpoint", "variant", 0)
    traffic.note("endpoint", "variant", KEPT_MS + 5000)
    assert traffic.invocations("endpoint", "variant", 0, 2 * KEPT_MS) == 1
    traffic.forget("endpoint")
    assert traffic.invocations("endpoint", "variant", 0, 2 * KEPT_MS) == 0
    assert traffic.last_ms("endpoint", "variant") is None
