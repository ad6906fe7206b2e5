"""Numbers in sentences."""

from __future__ import annotations

import pytest

from clary.profiler.wording import brief, number, percent, size, times


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (41e-6, "41 µs"),
        (0.0041, "4.1 ms"),
        (0.31, "310 ms"),
        (1.24, "1.2 s"),
        (80.2, "80 s"),
        (99.6, "1 min 40 s"),
        (120, "2 min"),
        (36_000, "10 h"),
        (36_065, "10 h 1 min"),
    ],
)
def test_times(seconds: float, text: str) -> None:
    assert brief(seconds) == text


def test_the_others() -> None:
    assert [percent(one) for one in (0.0, 0.042, 0.0996, 0.61, 1.0)] == [
        "0 %",
        "4.2 %",
        "10 %",
        "61 %",
        "100 %",
    ]
    assert [times(one) for one in (1.06, 1.94, 12.3)] == ["1.06 ×", "1.9 ×", "12 ×"]
    assert [number(one) for one in (4.25, 2.0, 12_300.4)] == ["4.2", "2", "12,300"]
    assert [size(one) for one in (640, 1.23e6, 24e9)] == ["640 B", "1.2 MB", "24 GB"]
