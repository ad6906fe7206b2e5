"""The program that checks rules: real processes over a real tensor log."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from clary.formats.findings import Finding, append_findings
from clary.formats.log_file import read_events
from clary.formats.rule_request import (
    LOG_FILE,
    RuleConfiguration,
    mark_ended,
    results_folder,
)
from clary.formats.tensor_log import TensorLogWriter
from clary.jobs.check_rules.watching import Awake
from tests.jobs.check_rules.rule_folders import (
    LOSS,
    G,
    Start,
    captures,
    found,
    request,
    rule,
    status,
    wait_for_status,
    write,
)
from tests.waiting import PATIENCE_S


def test_verdicts_at_the_end_of_a_training(tmp_path: Path, start: Start) -> None:
    folder = request(
        tmp_path,
        rule("VanishingGradient"),
        rule("ExplodingTensor", collection_names="losses"),
        rule("Overfit"),
    )
    write(tmp_path / "tensors-0", [1e-2, 1e-9, 1e-9, 1e-2])
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0

    ill = status(folder, "VanishingGradient")
    assert ill.status == "IssuesFound"
    assert ill.details.startswith(
        "RuleEvaluationConditionMet: Evaluation of the rule VanishingGradient at step 2 "
        "resulted in the condition being met\n"
    )
    (issue,) = found(folder, "VanishingGradient")
    assert (issue.kind, issue.tensor, issue.step, issue.mode) == ("issue", G, 2, "TRAIN")
    assert issue.at_ms > 0

    well = status(folder, "ExplodingTensor")
    assert (well.status, well.judged, well.last_step) == ("NoIssuesFound", 4, 3)
    assert found(folder, "ExplodingTensor") == ()

    lacking = status(folder, "Overfit")
    assert lacking.status == "Error"
    assert "no loss was saved in mode EVAL" in lacking.details
    assert "set_mode" in lacking.details
    log = [event.message for event in read_events(results_folder(folder, "Overfit") / LOG_FILE)]
    assert log[0] == "checking Overfit (defaults) of job dogs"
    assert log[-1].startswith("Error after 4 values")


def test_what_is_sealed_during_the_last_look_is_judged(tmp_path: Path, start: Start) -> None:
    folder = request(tmp_path, rule("ExplodingTensor", collection_names="losses"))
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from clary.formats.tensor_log import TensorLogWriter\n"
        "from clary.formats.tensor_log.entries import Capture, Mode, Step\n"
        "writer = TensorLogWriter(Path(sys.argv[1]))\n"
        "for step in range(20):\n"
        "    loss = float('nan') if step > 15 else 1.0\n"
        f"    scalars = {{'{LOSS}': loss}}\n"
        "    writer.write(Capture(Step(step, Mode.TRAIN, step, 0.0), scalars=scalars))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    tensors = tmp_path / "tensors-0"
    subprocess.run([sys.executable, "-c", script, str(tensors)], check=False)
    mark_ended(folder)
    racing = (
        "import sys\n"
        "from pathlib import Path\n"
        "from clary.formats.tensor_log import TensorLogWriter\n"
        "from clary.formats.tensor_log import reader\n"
        "from clary.jobs.check_rules.watching import Watch\n"
        "plain = reader.TensorLog._listed\n"
        "def listed(log):\n"
        "    names = plain(log)\n"
        "    reader.TensorLog._listed = plain\n"
        "    TensorLogWriter(Path(sys.argv[2])).close()\n"
        "    return names\n"
        "reader.TensorLog._listed = listed\n"
        "Watch(Path(sys.argv[1])).run()\n"
    )
    subprocess.run([sys.executable, "-c", racing, str(folder), str(tensors)], check=True)
    assert status(folder, "ExplodingTensor").status == "IssuesFound"


def test_tensors_that_cannot_be_read_are_no_clean_bill(tmp_path: Path, start: Start) -> None:
    folder = request(
        tmp_path,
        rule("VanishingGradient"),
        rule("ExplodingTensor", collection_names="losses"),
        hosts=2,
    )
    write(tmp_path / "tensors-1", [1e-2, 1e-9, 1e-9])
    damaged = tmp_path / "tensors-0"
    write(damaged, [1e-2])
    (segment,) = damaged.glob("statistics/*.sqlite")
    segment.write_bytes(b"x" * 100)
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    unread = status(folder, "ExplodingTensor")
    assert unread.status == "Error"
    assert "could not judge all tensors" in unread.details
    assert "is damaged" in unread.details
    assert status(folder, "VanishingGradient").status == "IssuesFound"


def test_it_finds_while_the_training_runs(tmp_path: Path, start: Start) -> None:
    folder = request(tmp_path, rule("VanishingGradient"), rule("Overtraining"))
    process = start(folder)
    wait_for_status(folder, "VanishingGradient", "InProgress")
    writer = TensorLogWriter(tmp_path / "tensors-0")
    for capture in captures([1e-9, 1e-9]):
        writer.write(capture)
    wait_for_status(folder, "VanishingGradient", "IssuesFound")
    assert process.poll() is None
    assert status(folder, "Overtraining").status == "InProgress"
    writer.close()
    mark_ended(folder)
    assert process.wait(PATIENCE_S) == 0
    assert status(folder, "Overtraining").status == "Error"


def test_a_kill_repeats_no_finding(tmp_path: Path, start: Start) -> None:
    folder = request(tmp_path, rule("VanishingGradient"), rule("ExplodingTensor"))
    write(tmp_path / "tensors-0", [1e-9, 1e-9])
    process = start(folder)
    before = wait_for_status(folder, "VanishingGradient", "IssuesFound")
    process.kill()
    process.wait()
    # As if it had been killed between the finding and the status.
    place = results_folder(folder, "VanishingGradient")
    before.model_copy(update={"status": "InProgress"}).write(place)
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    assert len(found(folder, "VanishingGradient")) == 1
    after = status(folder, "VanishingGradient")
    assert (after.status, after.details) == ("IssuesFound", before.details)
    assert after.started_ms == before.started_ms
    assert status(folder, "ExplodingTensor").status == "NoIssuesFound"


def test_a_kill_before_the_verdict_repeats_no_finding(tmp_path: Path, start: Start) -> None:
    folder = request(tmp_path, rule("StalledTrainingRule", threshold="1e-3"))
    issue = Finding(rule="StalledTrainingRule", kind="issue", message="silent for 7 s", step=4)
    append_findings(results_folder(folder, "StalledTrainingRule"), [issue])
    assert start(folder).wait(PATIENCE_S) == 0
    (only,) = found(folder, "StalledTrainingRule")
    assert only.message == "silent for 7 s"
    known = status(folder, "StalledTrainingRule")
    assert known.status == "IssuesFound"
    assert "at step 4" in known.details


def test_who_comes_back_late_has_slept() -> None:
    class Late(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            time.sleep(0.2)
            return False

    awake = Awake(asleep_seconds=0.1)
    began = time.time()
    assert not awake.wait(Late(), 0.0)
    assert began + 0.1 < awake.since <= time.time()
    patient = Awake(asleep_seconds=60.0)
    assert not patient.wait(threading.Event(), 0.01)
    assert patient.since == 0.0


def test_sigterm_stops_what_has_no_verdict(tmp_path: Path, start: Start) -> None:
    folder = request(tmp_path, rule("VanishingGradient"), rule("ExplodingTensor"))
    write(tmp_path / "tensors-0", [1e-9, 1e-9])
    process = start(folder)
    wait_for_status(folder, "VanishingGradient", "IssuesFound")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert status(folder, "VanishingGradient").status == "IssuesFound"
    assert status(folder, "ExplodingTensor").status == "Stopped"


def test_one_rule_can_be_stopped(tmp_path: Path, start: Start) -> None:
    folder = request(tmp_path, rule("VanishingGradient"), rule("ExplodingTensor"))
    process = start(folder)
    wait_for_status(folder, "ExplodingTensor", "InProgress")
    (results_folder(folder, "ExplodingTensor") / "stop").touch()
    wait_for_status(folder, "ExplodingTensor", "Stopped")
    assert status(folder, "VanishingGradient").status == "InProgress"
    write(tmp_path / "tensors-0", [1e-2, 1e-2])
    mark_ended(folder)
    assert process.wait(PATIENCE_S) == 0
    assert status(folder, "VanishingGradient").status == "NoIssuesFound"


def test_a_training_that_saved_nothing(tmp_path: Path, start: Start) -> None:
    folder = request(tmp_path, rule("VanishingGradient"), rule("StalledTrainingRule"))
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    assert "no gradient was saved" in status(folder, "VanishingGradient").details
    assert status(folder, "StalledTrainingRule").status == "NoIssuesFound"


def test_workers_of_several_hosts(tmp_path: Path, start: Start) -> None:
    folder = request(tmp_path, rule("VanishingGradient"), hosts=2)
    write(tmp_path / "tensors-0", [1e-2, 1e-2])
    write(tmp_path / "tensors-1", [1e-9, 1e-9])
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    (issue,) = found(folder, "VanishingGradient")
    assert issue.worker == "algo-2/worker_0"


def test_the_hooks_own_failure_is_a_finding(tmp_path: Path, start: Start) -> None:
    folder = request(tmp_path, rule("ExplodingTensor"))
    writer = TensorLogWriter(tmp_path / "tensors-0")
    for capture in captures([1e-2]):
        writer.write(capture)
    writer.record_failure("Traceback …\nStorageError: the disk is full")
    writer.close()
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    (failure,) = found(folder, "ExplodingTensor")
    assert failure.kind == "watcher_failed"
    assert "the disk is full" in failure.message
    assert "Traceback" in failure.detail
    told = status(folder, "ExplodingTensor")
    assert told.status == "NoIssuesFound"
    assert "the disk is full" in told.details


def test_another_run_to_compare_with(tmp_path: Path, start: Start) -> None:
    other = tmp_path / "other"
    write(other, [1e-2, 2e-2])
    configuration = RuleConfiguration(name="same", rule="SimilarAcrossRuns", others=(str(other),))
    folder = request(tmp_path, configuration)
    write(tmp_path / "tensors-0", [1e-2, 3e-2])
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    (issue,) = found(folder, "same")
    assert issue.value == pytest.approx(1e-2, rel=1e-5)


def test_a_request_that_is_missing_is_one_sentence(tmp_path: Path, start: Start) -> None:
    process = start(tmp_path)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert said.decode().count("\n") == 1
    assert "request.json is missing" in said.decode()


def test_an_unknown_rule_is_an_error_of_its_own(tmp_path: Path, start: Start) -> None:
    folder = request(tmp_path, rule("TreeDepth"), rule("DeadRelu", threshold_layer="many"))
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    assert "XGBoost" in status(folder, "TreeDepth").details
    assert "is 'many' but must be a number" in status(folder, "DeadRelu").details


def test_a_status_file_is_json_at_any_time(tmp_path: Path, start: Start) -> None:
    folder = request(tmp_path, rule("ExplodingTensor"))
    start(folder)
    wait_for_status(folder, "ExplodingTensor", "InProgress")
    path = results_folder(folder, "ExplodingTensor") / "status.json"
    writer = TensorLogWriter(tmp_path / "tensors-0")
    for capture in captures([1.0] * 30):
        writer.write(capture)
        json.loads(path.read_text())
        time.sleep(0.01)
    writer.close()
    mark_ended(folder)
    assert wait_for_status(folder, "ExplodingTensor", "NoIssuesFound").judged == 60
