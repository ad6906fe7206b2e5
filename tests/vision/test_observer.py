"""Observers are told everything in order, and cost nothing when there are none."""

from __future__ import annotations

import inspect

import pytest

from clary.vision.observer import Observer, Observers

METHODS = [
    name
    for name, value in inspect.getmembers(Observer, inspect.isfunction)
    if not name.startswith("_")
]


class Recorder(Observer):
    def __init__(self, calls, name):
        self.calls, self.name = calls, name

    def __getattribute__(self, attribute):
        if attribute in METHODS:
            return lambda *arguments: self.calls.append((self.name, attribute, arguments))
        return object.__getattribute__(self, attribute)


@pytest.mark.parametrize("method", METHODS)
def test_every_call_reaches_every_observer_in_order(method):
    calls = []
    observers = Observers([Recorder(calls, "a"), Recorder(calls, "b")])
    count = len(inspect.signature(getattr(Observer, method)).parameters) - 1
    arguments = tuple(range(count))
    getattr(observers, method)(*arguments)
    assert calls == [("a", method, arguments), ("b", method, arguments)]


def test_phase_ends_after_an_error_too():
    calls = []
    observers = Observers([Recorder(calls, "a")])
    with pytest.raises(RuntimeError), observers.phase("forward"):
        raise RuntimeError
    assert [call[1] for call in calls] == ["phase_started", "phase_ended"]


def test_nobody_watches_nothing_is_called(monkeypatch):
    observers = Observers()
    assert not observers
    for method in METHODS:
        monkeypatch.setattr(Observers, method, None)
    with observers.phase("forward"):
        pass
