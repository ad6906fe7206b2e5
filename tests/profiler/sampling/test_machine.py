"""The machine between two looks: by its real counters, and by made ones that misbehave."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.profiler.sampling.machine import (
    CoreTimes,
    Machine,
    MachineCounters,
    Traffic,
    read_proc,
    read_psutil,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def looks(*counters: MachineCounters) -> list[dict[tuple[str, str], float]]:
    """What a machine with these counters shows, look after look."""
    given_ = iter(counters)
    machine = Machine(lambda: next(given_))
    seen = []
    for _ in counters:
        time.sleep(0.001)
        seen.append({(one.dimension, one.name): one.value for one in machine.look()})
    return seen


def cores(*times: CoreTimes, network: Traffic | None = None) -> MachineCounters:
    named = {f"cpu{number}": one for number, one in enumerate(times)}
    return MachineCounters(named, 50.0, {"eth0": network} if network else {}, {})


@linux
def test_proc_and_psutil_say_the_same() -> None:
    by_hand, by_psutil = read_proc(), read_psutil()
    assert by_hand.cores.keys() == by_psutil.cores.keys()
    assert by_hand.network.keys() == by_psutil.network.keys()
    assert by_hand.disks.keys() == by_psutil.disks.keys()
    assert by_hand.memory_percent == pytest.approx(by_psutil.memory_percent, abs=5)
    for name, core in by_hand.cores.items():
        other = by_psutil.cores[name]
        # psutil counts in seconds, /proc in ticks: shares are what they have in common.
        assert core.idle / core.total == pytest.approx(other.idle / other.total, abs=0.01)


@pytest.mark.parametrize("read", [pytest.param(read_proc, marks=linux), read_psutil])
def test_two_looks_measure_this_machine(read: object) -> None:
    machine = Machine(read)  # type: ignore[arg-type]
    first = {(one.dimension, one.name) for one in machine.look()}
    assert first == {("Memory", "MemoryUsedPercent")}
    time.sleep(0.2)
    second = {(one.dimension, one.name): one.value for one in machine.look()}
    assert 0 <= second["CPUUtilization", "cpu0"] <= 100
    assert {name for dimension, name in second if dimension == "Algorithm"} == {
        "ReceiveBytesPerSecond",
        "TransmitBytesPerSecond",
    }
    assert ("Disk", "IOPS") in second
    if sys.platform == "linux":
        assert 0 <= second["I/OWaitPercentage", "cpu0"] <= 100


def test_shares_of_a_core_are_differences() -> None:
    _, seen = looks(cores(CoreTimes(1000, 400, 100)), cores(CoreTimes(1100, 430, 110)))
    assert seen["CPUUtilization", "cpu0"] == pytest.approx(60)
    assert seen["I/OWaitPercentage", "cpu0"] == pytest.approx(10)


def test_a_core_that_is_switched_on_has_no_share_yet() -> None:
    _, seen = looks(
        cores(CoreTimes(1000, 400, 0)),
        cores(CoreTimes(1100, 500, 0), CoreTimes(10, 10, 0)),
    )
    assert ("CPUUtilization", "cpu1") not in seen
    assert seen["CPUUtilization", "cpu0"] == 0


def test_a_system_without_io_wait_has_no_such_rows() -> None:
    _, seen = looks(cores(CoreTimes(10, 4, None)), cores(CoreTimes(20, 9, None)))
    assert seen["CPUUtilization", "cpu0"] == pytest.approx(50)
    assert not [key for key in seen if key[0] == "I/OWaitPercentage"]


def test_a_card_that_begins_to_count_anew_counts_nothing() -> None:
    _, seen = looks(
        cores(network=Traffic(10**9, 10**9)),
        cores(network=Traffic(5, 5)),
    )
    assert seen["Algorithm", "ReceiveBytesPerSecond"] == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9)),
        min_size=2,
        max_size=5,
    )
)
def test_whatever_counters_do_a_share_is_a_share(times: Sequence[tuple[int, int, int]]) -> None:
    for seen in looks(*(cores(CoreTimes(*one)) for one in times)):
        assert all(0 <= value <= 100 for value in seen.values())
