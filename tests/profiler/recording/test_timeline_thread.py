"""The thread that writes: what is wrong with one thing it is given costs no other."""

from __future__ import annotations

import time

import numpy as np

from clary.formats.timeline import Loading
from clary.formats.timeline.reader import Timeline
from clary.profiler.recording import timeline_thread
from clary.profiler.recording.step_recorder import StepRecorder
from clary.profiler.recording.timeline_thread import Pending
from tests.waiting import until


def read(folder):
    timeline = Timeline(folder)
    timeline.refresh()
    return next(iter(timeline.workers.values()), None)


def steps(recorder, count):
    for _ in range(count):
        recorder.begin_step()
        time.sleep(0.021)
    recorder.end_step()


def written(folder):
    worker = read(folder)
    return 0 if worker is None else int(worker.steps()["merged"].sum())


def test_facts_that_cannot_be_written_cost_no_steps(tmp_path):
    recorder = StepRecorder(tmp_path, epochs=object())
    steps(recorder, 2)
    until(lambda: written(tmp_path) == 2)
    steps(recorder, 2)
    recorder.close()
    worker = read(tmp_path)
    assert worker.steps()["merged"].sum() == 4
    (failure,) = worker.failures
    assert failure.startswith("the facts are left as they were: TypeError")


def test_facts_may_be_numbers_of_numpys(tmp_path):
    recorder = StepRecorder(tmp_path, batch_size=np.int64(4))
    recorder.facts(train_loading=Loading(kind="DataLoader", workers=np.int64(2)))
    steps(recorder, 1)
    recorder.close()
    facts = read(tmp_path).facts
    assert (facts.batch_size, facts.train_loading.workers) == (4, 2)


def test_a_fact_that_nobody_knows_ends_nothing(tmp_path):
    recorder = StepRecorder(tmp_path)
    steps(recorder, 1)
    recorder.facts(no_such_fact=1)
    steps(recorder, 1)
    recorder.close()
    worker = read(tmp_path)
    assert worker.steps()["merged"].sum() == 2
    assert "no_such_fact" in worker.failures[0]


def test_a_thread_that_fails_is_told_once_and_nothing_is_kept_for_it(tmp_path, capfd):
    recorder = StepRecorder(tmp_path)
    steps(recorder, 1)
    until(lambda: written(tmp_path) == 1)
    recorder.begin_step()
    recorder.add_pictures(-1)
    time.sleep(0.021)
    recorder.begin_step()
    until(lambda: recorder._thread.lost)
    steps(recorder, 3)
    assert not recorder._thread._steps
    assert not recorder.step_is_open
    recorder.close()
    worker = read(tmp_path)
    assert worker.steps()["merged"].sum() == 1
    assert len(worker.failures) == 1
    assert worker.failures[0].startswith("writing the timeline has failed: ")
    assert capfd.readouterr().err.count("clary profiler") == 1


def test_steps_are_written_while_another_process_works(tmp_path):
    recorder = StepRecorder(tmp_path)
    done = []

    def again(writer):
        return Pending(again, lambda: None) if not done else None

    recorder._thread.do(again)
    steps(recorder, 2)
    until(lambda: written(tmp_path) == 2)
    done.append(True)
    recorder.close()
    assert read(tmp_path).failures == ()


def test_a_process_that_takes_too_long_is_abandoned_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(timeline_thread, "SECONDS_FOR_LAST_WORK", 0.2)
    recorder = StepRecorder(tmp_path)
    abandoned = []

    def again(writer):
        return Pending(again, lambda: abandoned.append(True))

    recorder._thread.do(again)
    steps(recorder, 2)
    recorder.close()
    assert abandoned == [True]
    worker = read(tmp_path)
    assert worker.steps()["merged"].sum() == 2
    assert worker.failures == (
        "operators are not recorded: the training ended before they were added up",
    )
