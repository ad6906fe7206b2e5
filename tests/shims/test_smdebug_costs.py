"""What trials and rules of `smdebug` ask of a long history: counted, not timed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clary.debugger.history import History
from clary.debugger.history_place import HistoryPlace
from clary.formats.tensor_log import TensorLogWriter
from clary.formats.tensor_log.entries import Capture, Mode, Step

pytestmark = pytest.mark.usefixtures("smdebug_path")

LOSS = "CrossEntropyLoss_output_0"


class Counted(History):
    """Counts what it answers, in steps."""

    answered = 0
    answered_of_names = 0
    refreshed = 0

    def steps(
        self, mode: Mode = Mode.GLOBAL, name: str | None = None, *given: Any, **more: Any
    ) -> tuple[int, ...]:
        found = super().steps(mode, name, *given, **more)
        self.answered += len(found)
        self.answered_of_names += len(found) if name else 0
        return found

    def scalars(self, *given: Any, **more: Any) -> Mapping[int, float]:
        found = super().scalars(*given, **more)
        self.answered += len(found)
        self.answered_of_names += len(found)
        return found

    def refresh(self) -> bool:
        self.refreshed += 1
        return super().refresh()


def test_what_a_rule_costs_grows_with_the_steps_that_it_judges(tmp_path: Path) -> None:
    from smdebug.rules import Rule, invoke_rule
    from smdebug.trials.trial import Trial

    class Finite(Rule):  # type: ignore[misc]
        def invoke_at_step(self, step: int) -> bool:
            names = self.base_trial.tensor_names(collection="losses")
            return any(self.base_trial.tensor(name).value(step) < 0 for name in names)

    writer = TensorLogWriter(tmp_path)

    def write(first: int, end: int) -> None:
        for number in range(first, end):
            step = Step(number, Mode.TRAIN, number, 1000.0)
            writer.write(Capture(step, scalars={LOSS: 1.0}))

    write(0, 50)
    history = Counted(HistoryPlace(tmp_path, None))
    rule = Finite(Trial(history))
    invoke_rule(rule, end_step=50)
    # Some answers of the whole length, and none for each step.
    assert history.answered < 50 * 10
    assert history.refreshed < 10
    write(50, 500)
    history.answered = 0
    invoke_rule(rule, start_step=50, end_step=500)
    assert history.answered < 500 * 10
    assert history.refreshed < 10
    # At the end of a log that grows, a step costs no more with names than it has brought.
    before = history.answered_of_names
    for number in range(500, 505):
        write(number, number + 1)
        invoke_rule(rule, start_step=number, end_step=number + 1)
    assert history.answered_of_names - before < 5 * 10
    writer.close()


def test_a_piece_of_a_log_that_comes_after_a_later_one_is_seen(tmp_path: Path) -> None:
    from smdebug.trials import create_trial

    writer = TensorLogWriter(tmp_path / "whole")
    for number in range(6):
        writer.write(Capture(Step(number, Mode.TRAIN, number, 1000.0), scalars={LOSS: 1.0}))
        if number % 2:
            writer.flush()
    writer.close()
    segments = sorted((tmp_path / "whole" / "statistics").glob("*.sqlite"))
    assert len(segments) == 3
    copied = tmp_path / "copied" / "statistics"
    copied.mkdir(parents=True)
    for segment in (segments[0], segments[2]):
        shutil.copy(segment, copied)
    trial = create_trial(str(tmp_path / "copied"))
    loss = trial.tensor(LOSS)
    assert loss.values().keys() == {0, 1, 4, 5}
    shutil.copy(segments[1], copied)
    assert loss.steps() == list(range(6))
    assert loss.value(2) == 1.0
    assert loss.values().keys() == set(range(6))
