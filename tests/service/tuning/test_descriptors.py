"""What a service holds on to does not grow with the trials that it has run."""

from __future__ import annotations

import psutil

from tests.service.tuning.conftest import Tuning, configuration, definition

TRIALS = 12


def test_descriptors_and_threads_stay_level_over_many_trials(tuning: Tuning) -> None:
    service = psutil.Process(tuning.service.pid)

    def run(name: str) -> tuple[int, int]:
        tuning.create(name, configuration(TRIALS), definition("bowl"))
        tuning.wait(name)
        return service.num_fds(), service.num_threads()

    descriptors, threads = run("first")
    after = run("second")
    # Each trial took two descriptors for good; a connection more or less is a thread's.
    assert after[0] < descriptors + TRIALS
    assert after[1] < threads + TRIALS
