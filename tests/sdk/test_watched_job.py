"""A script of one's own that is watched and judged: what the SDK and `clary debug` say of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clary.errors import UsageError
from clary.formats.tensor_curves import loss_names, scalar_curves
from clary.sdk.debugging import Debugging, Rule
from clary.sdk.estimator import Estimator
from clary.sdk.job_debugging import WatchedPrefix, watch_job
from clary.sdk.session import Session
from clary.sdk.training_job import TrainingJob

# Losses that rise, and a rule of its own that fires on any loss over a limit.
SCRIPT = """
from pathlib import Path
from clary.formats.tensor_log import TensorLogWriter
from clary.formats.tensor_log.entries import Capture, CollectionRecord, Mode, Step
losses = CollectionRecord("losses", (r"[Ll]oss_(?!input).*output",))
writer = TensorLogWriter(Path("/opt/ml/output/tensors"), collections=[losses])
for number in range(6):
    step = Step(number, Mode.TRAIN, number, 1e9 + number)
    writer.write(Capture(step, {"NLLLoss_output_0": 1.0 + number}))
writer.close()
"""
RULES = """
from clary.rules import Rule

class LossOver(Rule):
    def judge(self, window):
        for name in window.names(collections=["losses"]):
            for step in window.new(name):
                value = window.statistics(name, step).mean
                if value > 4:
                    return [self.issue(window, step, f"{name} is {value:g}, over 4", tensor=name)]
        return []
"""


def test_rules_findings_and_curves_of_a_job(session: Session, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "rules.py").write_text(RULES)
    estimator = Estimator(
        session,
        image="pytorch-training:2.8",
        entry_point=str(tmp_path / "script.py"),
        debug=Debugging(
            rules=[
                Rule("ExplodingTensor", {"tensor_regex": ".*Loss.*"}, name="nan"),
                Rule("LossOver", name="high", source=tmp_path / "rules.py"),
            ]
        ),
    )
    job = estimator.fit(name="watched", logs=False)
    assert {rule.name: rule.status for rule in job.rules()} == {
        "nan": "NoIssuesFound",
        "high": "IssuesFound",
    }
    (found,) = job.findings()
    assert (found.rule, found.step, found.message) == ("high", 4, "NLLLoss_output_0 is 5, over 4")
    elsewhere = Session(session.boto_session, endpoint=session.endpoint)
    (stored_finding,) = TrainingJob(elsewhere, "watched").findings()
    assert stored_finding == found
    (curve,) = job.losses()
    assert (curve.label, curve.values) == ("train", (1.0, 2.0, 3.0, 4.0, 5.0, 6.0))
    assert TrainingJob(elsewhere, "watched").losses() == (curve,)
    with watch_job(session, "watched") as watched:
        here = watched.moment()
    uri = f"s3://{session.default_bucket}/watched/debug-output"
    with WatchedPrefix(session, uri) as stored:
        there = stored.moment()
    for moment in (here, there):
        assert moment.ended
        assert moment.log is not None
        (name,) = loss_names(moment.log)
        (curve,) = scalar_curves(moment.log, name)
        assert curve.values == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    shown = subprocess.run(
        [sys.executable, "-m", "clary", "debug", "watched"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )
    assert (shown.returncode, shown.stderr) == (1, "")
    assert shown.stdout.startswith(
        "watched  Completed · steps 0 to 5 · 2 rules: 1 found an issue, 1 found nothing wrong\n"
    )
    with pytest.raises(UsageError, match="there is no file"):
        missing = Rule("Mine", source=tmp_path / "no.py")
        Estimator(session, image="x", debug=Debugging(rules=[missing])).fit(name="other")


def test_a_job_that_saved_no_losses_says_so(session: Session, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print('nothing is watched')")
    script = str(tmp_path / "script.py")
    job = Estimator(session, image="pytorch-training:2.8", entry_point=script).fit(
        name="unwatched", logs=False
    )
    with pytest.raises(UsageError, match="no losses of the job unwatched have been saved"):
        job.losses()
