from __future__ import annotations

from clary.jobs.pages.wording import duration, interval, listed, percent, readable


def test_numbers_read_well():
    assert percent(0.9541) == "95.4\u202f%"
    assert percent(1.0) == "100\u202f%"
    assert interval(0.932, 0.969) == "93.2–96.9\u202f%"
    assert [duration(s) for s in (2.34, 48, 200, 180, 7500)] == [
        "2.3 s",
        "48 s",
        "3 min 20 s",
        "3 min",
        "2 h 5 min",
    ]
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdefg"), 3) == "a, b, c and 4 more"
    assert readable("013.Labrador_retriever") == "Labrador retriever"
    assert readable("2020_cars") == "2020 cars"
    assert readable("_") == "_"
