"""Steps of scripts, whatever torch is asked for and in whatever order."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.formats.timeline import Mode
from clary.formats.timeline.reader import Timeline
from clary.profiler.recording.step_recorder import StepRecorder
from clary.profiler.scripts.script_steps import ScriptSteps

EVENTS = ("fetch", "other", "fetch_no_grad", "exhaust", "backward", "update", "broken_update")


@settings(max_examples=60, deadline=None)
@given(events=st.lists(st.sampled_from(EVENTS), max_size=60))
def test_whatever_a_script_does_steps_fill_their_time_and_nothing_fails(tmp_path_factory, events):
    folder = tmp_path_factory.mktemp("profiler")
    steps = ScriptSteps(lambda: StepRecorder(folder), lambda mode, loader: None)
    updates = 0
    for event in events:
        if event in {"backward", "update", "broken_update"}:
            begins, ends = {
                "backward": (steps.backward_begins, steps.backward_ends),
                "update": (lambda: steps.update_begins(1), lambda: steps.update_ends(1)),
                "broken_update": (lambda: steps.update_begins(1), lambda: None),
            }[event]
            begins()
            ends()
            updates += event == "update"
        else:
            loader = 2 if event == "other" else 1
            steps.fetch_begins(loader, learns=event != "fetch_no_grad")
            if event == "exhaust":
                steps.fetch_fails()
            else:
                steps.fetch_ends(4)
    steps.close()
    if not events:
        return
    timeline = Timeline(folder)
    timeline.refresh()
    for worker in timeline.workers.values():
        assert worker.failures == ()
        records = worker.steps()
        phases = np.nan_to_num(records["phases_s"]).sum(axis=1)
        assert (phases <= records["seconds"] * 1.001 + 1e-6).all()
        ends = records["start_us"] + records["seconds"] * 1e6
        assert (ends[:-1] <= records["start_us"][1:] + 100).all()
        assert records[records["mode"] == Mode.TRAIN]["merged"].sum() >= min(1, updates)
