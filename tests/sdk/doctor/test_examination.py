"""`clary.sdk.doctor.examination`: all looks at once, and what they come to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from clary.sdk.doctor import Examination, Observation, examine
from clary.sdk.doctor.observation import Surroundings


def test_the_gravest_thing_is_most_worth_doing() -> None:
    note = Observation("a", "b", "c", "note", "one could")
    warning = Observation("a", "b", "c", "warning", "one should")
    fault = Observation("a", "b", "c", "fault", "one must")
    assert Examination((note, warning, fault)).advice == fault
    assert Examination((note, warning)).advice == warning
    assert Examination((note,)).advice is None
    assert Examination((note, warning)).works
    assert not Examination((note, fault)).works


def test_a_look_that_hangs_is_told_and_the_others_are_kept(tmp_path: Path) -> None:
    forever = threading.Event()

    def hang(_: Surroundings) -> Iterator[Observation]:
        forever.wait()
        yield Observation("never", "", "")

    def see(around: Surroundings) -> Iterator[Observation]:
        yield Observation("home", str(around.settings.home), "")

    found = examine(
        {"CLARY_HOME": str(tmp_path)}, looks=(("hub", hang), ("home", see)), patience_s=1.0
    )
    forever.set()
    assert [one.name for one in found.observations] == ["hub", "home"]
    assert found.observations[0].found == "no answer in 1 s"
    assert found.observations[1].found == str(tmp_path)


def test_a_look_that_fails_is_told_and_the_others_are_kept(tmp_path: Path) -> None:
    def fail(_: Surroundings) -> Iterator[Observation]:
        raise ZeroDivisionError
        yield Observation("never", "", "")

    def see(_: Surroundings) -> Iterator[Observation]:
        yield Observation("home", "there", "")

    found = examine({"CLARY_HOME": str(tmp_path)}, looks=(("bad", fail), ("home", see)))
    bad, home = found.observations
    assert (bad.name, bad.level, home.found) == ("bad", "warning", "there")
    assert "ZeroDivisionError" in bad.found and Path(__file__).name in bad.found


def test_a_variable_that_stops_every_command_is_a_fault(tmp_path: Path) -> None:
    found = examine({"CLARY_HOME": str(tmp_path), "CLARY_PORT": "many"}, looks=())
    assert not found.works
    assert found.observations[0].found.startswith("CLARY_PORT is 'many': set it to")
