"""A source in memory: what a worker has saved, said step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clary.debugger.summaries import summarize
from clary.formats.findings import Finding
from clary.formats.tensor_log.entries import CollectionRecord, Mode, Statistics, Step
from clary.rules.rule import Rule
from clary.rules.runner import Now, Runner
from clary.rules.source import Series


class MadeUp:
    """Steps as `add` gives them; raw tensors have their statistics, as in a history."""

    def __init__(self, worker: str = "worker_0") -> None:
        self.worker = worker
        self.collections: dict[str, CollectionRecord] = {}
        self._steps: list[Step] = []
        self._raw: dict[str, dict[int, Any]] = {}
        self._statistics: dict[str, dict[int, Statistics]] = {}
        self._units: dict[str, dict[tuple[str, int], Any]] = {}

    def add(
        self,
        mode: Mode = Mode.TRAIN,
        *,
        number: int | None = None,
        raw: Mapping[str, Any] | None = None,
        statistics: Mapping[str, Statistics] | None = None,
        units: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> MadeUp:
        if number is None:
            number = self._steps[-1].number + 1 if self._steps else 0
        within = sum(step.mode is mode for step in self._steps)
        self._steps.append(Step(number, mode, number if mode is Mode.GLOBAL else within, number))
        for name, tensor in (raw or {}).items():
            self._raw.setdefault(name, {})[number] = np.asarray(tensor)
        for name, one in (statistics or {}).items():
            self._statistics.setdefault(name, {})[number] = one
        for name, kinds in (units or {}).items():
            for kind, values in kinds.items():
                held = self._units.setdefault(name, {})
                held[kind, number] = np.asarray(values, dtype=np.float32)
        return self

    def losses(
        self,
        values: Sequence[float],
        mode: Mode = Mode.TRAIN,
        name: str = "CrossEntropyLoss_output_0",
    ) -> MadeUp:
        for value in values:
            self.add(mode, raw={name: float(value)})
        return self

    def steps(self) -> Sequence[Step]:
        return self._steps

    def names(self) -> Sequence[str]:
        return tuple({**self._raw, **self._statistics, **self._units})

    def kinds(self, name: str) -> frozenset[str]:
        kinds = {kind for kind, _ in self._units.get(name, ())}
        kinds |= {"raw"} if name in self._raw else set()
        return frozenset(kinds | ({"statistics"} if name in self._statistics else set()))

    def captured(self, name: str) -> Sequence[int]:
        steps = {*self._raw.get(name, ()), *self._statistics.get(name, ())}
        return sorted(steps | {step for _, step in self._units.get(name, ())})

    def means(self, name: str) -> Series:
        found = {}
        for step in self.captured(name):
            raw = self.raw(name, step)
            held = self._statistics.get(name, {}).get(step)
            if raw is not None:
                found[step] = float(np.mean(raw))
            elif held is not None and held.mean is not None:
                found[step] = held.mean
        return Series(np.array([*found], dtype=np.int64), np.array([*found.values()], dtype=float))

    def statistics(self, name: str, step: int) -> Statistics | None:
        raw = self.raw(name, step)
        return self._statistics.get(name, {}).get(step) if raw is None else summarize(raw)

    def units(self, name: str, kind: str, step: int) -> Any:
        return self._units.get(name, {}).get((kind, step))

    def raw(self, name: str, step: int) -> Any:
        return self._raw.get(name, {}).get(step)


def configured(rule: type[Rule], **given: str) -> Rule:
    """A rule with parameters as strings."""
    return rule.configured(given)


def findings(
    rule: Rule,
    *sources: MadeUp,
    ended: bool = True,
    learning: Mapping[str, Any] | None = None,
    others: Sequence[MadeUp] = (),
    seconds: float = 0.0,
) -> list[Finding]:
    """What a rule says of a whole training."""
    runner = Runner(rule, 0.0, learning or {}, tuple(others))
    return runner.look(sources, Now(seconds, ended=ended))


def issue(rule: Rule, *sources: MadeUp, **about: Any) -> Finding | None:
    """The issue that a rule finds; None for a healthy training."""
    found = [one for one in findings(rule, *sources, **about) if one.kind == "issue"]
    return found[0] if found else None


def why_not(rule: Rule, source: MadeUp) -> Finding | None:
    """What a rule lacks to judge."""
    return Runner(rule, 0.0).lacks([source], Now(0.0, ended=True))
