"""Asks the tuner for the next trial's hyperparameters, in the engine that fits."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Sequence

from clary.errors import ClaryError
from clary.service.executors.surroundings import inherited_environment
from clary.tuner.exchange import Question, read_answer, write_question
from clary.tuner.scaling import Value
from clary.tuner.search import Search, SpaceExhausted, engine, suggest
from clary.tuner.trials import Trial

logger = logging.getLogger(__name__)

# The Gaussian process takes seconds, torch's import included; trials that are worth it take more.
_GAUSSIAN_PROCESS_S = 120.0


class Suggester:
    """Suggests the trials of one tuning job.

    Owned by its beginner; one call at a time. A Gaussian process that has failed is not asked
    again: one that hangs would cost two minutes each time.
    """

    def __init__(self) -> None:
        self._failed = False

    def next_parameters(
        self,
        search: Search,
        trials: Sequence[Trial],
        parents: Sequence[Trial],
        seconds_per_trial: float | None,
    ) -> dict[str, Value]:
        """What to try after `trials`. Takes milliseconds, or seconds where trials are costly.

        Args:
            search: what is searched and how.
            trials: all before, numbered from 1 without a gap.
            parents: those of the tuning jobs that this one starts from.
            seconds_per_trial: what a trial takes; None while that is not known.

        Raises:
            SpaceExhausted: everything has been tried.
        """
        question = Question(search, trials, len(trials) + 1, parents)
        fit = engine(search, [*parents, *trials], seconds_per_trial)
        if fit == "gp" and not self._failed:
            try:
                return _ask_process(question)
            except SpaceExhausted:
                raise
            except ClaryError as error:
                self._failed = True
                logger.warning("The Gaussian process failed, TPE suggests from now on: %s", error)
        return suggest(search, trials, question.number, parents)


def _ask_process(question: Question) -> dict[str, Value]:
    """Let the program answer that may import torch. It ends with this process."""
    command = [sys.executable, "-m", "clary.jobs.suggest", "--parent", str(os.getpid())]
    try:
        done = subprocess.run(
            command,
            input=write_question(question),
            capture_output=True,
            text=True,
            timeout=_GAUSSIAN_PROCESS_S,
            env={**inherited_environment(), "PYTHONSAFEPATH": "1"},
            cwd="/",
            start_new_session=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClaryError(f"{' '.join(command[1:])} gave no answer: {error}") from error
    if done.returncode != 0:
        raise ClaryError(f"{' '.join(command[1:])} ended with {done.returncode}: {done.stderr}")
    return read_answer(done.stdout)
