"""Rounds of a service that is killed between any two effects, and begun again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from clary.service.state.state import State
from clary.service.supervisor.rounds import Rounds
from clary.service.supervisor.timing import Timing
from clary.settings import Settings
from tests.service.supervisor.memory_executor import MemoryExecutor

IMPATIENT = Timing(
    grace_s=0.0, settle_s=0.0, tick_s=0.0, follow_s=0.0, sample_s=0.0, retry_s=0.0, rules_s=0.0
)


class Killed(BaseException):
    """The service process ends here."""


class InlinePool(Pool):
    """Does the work at once; a kill goes through."""

    def submit(self, task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(task(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as the standard pool does
            future.set_exception(error)
        return future


class KilledRounds(RuleBasedStateMachine):
    """What machines have in common whose actions are mixed with kills of the service."""

    def open(self, max_jobs: int) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="clary-crashes-"))
        self.settings = Settings(home=self.home, max_jobs=max_jobs)
        self.executor = MemoryExecutor()
        self.executor.before = self.executor.after = self.pass_point
        self.points_left: int | None = None
        self.state = State(self.settings.state_file)
        self.restart()

    def restart(self) -> None:
        self.state.close()
        self.state = State(self.settings.state_file)
        self.rounds = Rounds(
            self.state,
            self.executor,
            self.settings,
            pool=InlinePool(),
            job_environment=dict,
            timing=IMPATIENT,
            changed=lambda: self.pass_point("stored"),
        )

    def pass_point(self, _where: str) -> None:
        if self.points_left is not None:
            self.points_left -= 1
            if self.points_left < 0:
                raise Killed

    def go_on(self, rounds: int) -> None:
        for _ in range(rounds):
            self.rounds.next()

    def go_on_until_killed(self, rounds: int, points: int) -> None:
        """Some rounds, killed after so many effects where they have as many; then begun again."""
        self.points_left = points
        with suppress(Killed):
            self.go_on(rounds)
        self.points_left = None
        self.restart()

    def close(self) -> None:
        self.state.close()
        shutil.rmtree(self.home)
