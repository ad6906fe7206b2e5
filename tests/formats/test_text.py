from __future__ import annotations

from clary.formats.text import counted


def test_what_is_counted_has_its_number() -> None:
    assert [counted(one, "step") for one in (0, 1, 12_300)] == ["0 steps", "1 step", "12,300 steps"]
    assert [counted(one, "class", "classes") for one in (1, 1200)] == ["1 class", "1,200 classes"]
