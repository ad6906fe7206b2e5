"""The program that checks rules, over profiles: real processes, and the report they leave."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from clary.formats.findings import Finding, append_findings
from clary.formats.log_file import read_events
from clary.formats.profiler_rule_parameters import REPORTED_RULES
from clary.formats.rule_request import (
    LOG_FILE,
    RuleConfiguration,
    RuleRequest,
    ended_marker,
    mark_ended,
    results_folder,
)
from clary.jobs.check_rules.check import STOP_FILE
from tests.jobs.check_rules.rule_folders import (
    Start,
    found,
    rule,
    status,
    wait_for_status,
)
from tests.profiler.made_profiles import (
    START_S,
    MadeJob,
    often_saved,
    slow_loading,
    well_built,
)
from tests.waiting import PATIENCE_S


def asked(tmp_path: Path, *rules: RuleConfiguration, hosts: int = 1) -> Path:
    profiles = tuple(tmp_path / f"profiler-{host}" for host in range(hosts))
    folder = tmp_path / "rules.profiler"
    folder.mkdir()
    RuleRequest(
        job="dogs",
        kind="profiler",
        profiles=profiles,
        rules=rules,
        started_s=START_S,
        about={"instances": "1 × ml.m5.large"},
    ).write(folder)
    return folder


def end(folder: Path, at_s: float) -> None:
    mark_ended(folder)
    os.utime(ended_marker(folder), (at_s, at_s))


def outputs(folder: Path, name: str) -> set[str]:
    place = results_folder(folder, name) / "profiler-output"
    return {str(one.relative_to(place)) for one in place.rglob("*") if one.is_file()}


THIRTEEN = {
    "profiler-report.html",
    "profiler-report.ipynb",
    *(f"profiler-reports/{name}.json" for name in REPORTED_RULES),
}


def test_verdicts_at_the_end_of_a_slow_training(tmp_path: Path, start: Start) -> None:
    folder = asked(tmp_path, rule("ProfilerReport"), rule("Dataloader"), rule("StepOutlier"))
    profile = slow_loading(tmp_path / "profiler-0")
    assert profile.job.ended_s is not None
    end(folder, profile.job.ended_s)
    assert start(folder).wait(PATIENCE_S) == 0

    report = status(folder, "ProfilerReport")
    assert report.status == "IssuesFound"
    lines = report.details.splitlines()
    assert lines[0] == (
        "RuleEvaluationConditionMet: Evaluation of the rule ProfilerReport at step 159 "
        "resulted in the condition being met"
    )
    assert len(lines) == 4
    assert lines[1].startswith("In 80 s it took 160 training steps")
    assert "waits for its data" in lines[2]
    assert "num_workers" in lines[3]
    assert report.last_step == 159
    assert outputs(folder, "ProfilerReport") == THIRTEEN
    place = results_folder(folder, "ProfilerReport") / "profiler-output"
    written = json.loads((place / "profiler-reports/Dataloader.json").read_text())
    assert written["RuleTriggered"] == 1
    assert "dogs" in (place / "profiler-report.html").read_text()

    (issue,) = found(folder, "Dataloader")
    assert (issue.kind, issue.rule, issue.worker) == ("issue", "Dataloader", "algo-1/worker_0")
    assert "expected 1.7 × as fast" in issue.remedy
    assert [one.rule for one in found(folder, "ProfilerReport")] == ["Dataloader"]
    assert status(folder, "StepOutlier").status == "NoIssuesFound"


def test_a_well_built_training(tmp_path: Path, start: Start) -> None:
    folder = asked(tmp_path, rule("ProfilerReport"), rule("LowGPUUtilization"))
    profile = well_built(tmp_path / "profiler-0")
    assert profile.job.ended_s is not None
    end(folder, profile.job.ended_s)
    assert start(folder).wait(PATIENCE_S) == 0
    report = status(folder, "ProfilerReport")
    assert report.status == "NoIssuesFound"
    assert len(report.details.splitlines()) == 3
    assert report.details.endswith("It is well built: nothing stands out to change.")
    assert found(folder, "ProfilerReport") == ()
    assert outputs(folder, "ProfilerReport") == THIRTEEN
    (note,) = found(folder, "LowGPUUtilization")
    assert note.kind == "note"
    assert status(folder, "LowGPUUtilization").status == "NoIssuesFound"


def test_what_no_rule_of_sagemakers_fires_for_is_told_too(tmp_path: Path, start: Start) -> None:
    folder = asked(tmp_path, rule("ProfilerReport"))
    often_saved(tmp_path / "profiler-0")
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    (issue,) = found(folder, "ProfilerReport")
    assert issue.rule == "OverallFrameworkMetrics"
    assert "saving checkpoints takes 57 %" in issue.message
    assert status(folder, "ProfilerReport").status == "IssuesFound"


def test_a_job_that_recorded_nothing_has_a_report(tmp_path: Path, start: Start) -> None:
    folder = asked(tmp_path, rule("ProfilerReport"), rule("CPUBottleneck"))
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    assert status(folder, "ProfilerReport").status == "NoIssuesFound"
    assert outputs(folder, "ProfilerReport") == THIRTEEN
    (note,) = found(folder, "CPUBottleneck")
    assert "neither a GPU nor training steps were seen" in note.message


def test_it_finds_while_the_training_runs(tmp_path: Path, start: Start) -> None:
    folder = asked(
        tmp_path,
        rule("MaxInitializationTime", threshold="0.01"),
        rule("ProfilerReport", CPUBottleneck_cpu_threshold="80"),
    )
    process = start(folder)
    wait_for_status(folder, "ProfilerReport", "InProgress")
    job = MadeJob(tmp_path / "profiler-0")
    job.initialize(2.0)
    job.train(50)
    profile = job.end()
    wait_for_status(folder, "MaxInitializationTime", "IssuesFound")
    assert process.poll() is None
    assert status(folder, "ProfilerReport").status == "InProgress"
    assert profile.job.ended_s is not None
    end(folder, profile.job.ended_s)
    assert process.wait(PATIENCE_S) == 0
    assert status(folder, "ProfilerReport").parameters == {"CPUBottleneck_cpu_threshold": "80"}
    assert outputs(folder, "ProfilerReport") == THIRTEEN


def test_a_kill_before_the_verdict_gives_the_same_verdict(tmp_path: Path, start: Start) -> None:
    folder = asked(tmp_path, rule("ProfilerReport"), rule("Dataloader"))
    profile = slow_loading(tmp_path / "profiler-0")
    process = start(folder)
    wait_for_status(folder, "ProfilerReport", "InProgress")
    process.kill()
    process.wait()
    issue = Finding(rule="Dataloader", kind="issue", message="61 % of each step waits", step=4)
    for name in ("Dataloader", "ProfilerReport"):
        append_findings(results_folder(folder, name), [issue])
    assert profile.job.ended_s is not None
    end(folder, profile.job.ended_s)
    assert start(folder).wait(PATIENCE_S) == 0
    report = status(folder, "ProfilerReport")
    assert report.status == "IssuesFound"
    first, *verdict = report.details.splitlines()
    assert "at step 159 " in first
    assert len(verdict) == 3
    assert outputs(folder, "ProfilerReport") == THIRTEEN
    known = status(folder, "Dataloader")
    assert known.status == "IssuesFound"
    assert "61 % of each step waits" in known.details
    assert len(found(folder, "Dataloader")) == 1


def test_sigterm_stops_what_has_no_verdict(tmp_path: Path, start: Start) -> None:
    folder = asked(tmp_path, rule("ProfilerReport"))
    well_built(tmp_path / "profiler-0")
    process = start(folder)
    wait_for_status(folder, "ProfilerReport", "InProgress")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert status(folder, "ProfilerReport").status == "Stopped"


@pytest.mark.parametrize("terminated", [False, True])
def test_a_report_that_is_stopped_is_left_as_it_stands(
    tmp_path: Path, start: Start, terminated: bool
) -> None:
    folder = asked(tmp_path, rule("ProfilerReport"), rule("StepOutlier"))
    process = start(folder)
    wait_for_status(folder, "ProfilerReport", "InProgress")
    well_built(tmp_path / "profiler-0")
    (results_folder(folder, "ProfilerReport") / STOP_FILE).touch()
    if terminated:
        process.send_signal(signal.SIGTERM)
    known = wait_for_status(folder, "ProfilerReport", "Stopped")
    assert outputs(folder, "ProfilerReport") == THIRTEEN
    assert found(folder, "ProfilerReport") == ()
    if terminated:
        assert process.wait(PATIENCE_S) == 0
        assert known.details.startswith("the rule was stopped before it had judged more than step ")
    else:
        assert status(folder, "StepOutlier").status == "InProgress"


def test_what_cannot_be_asked_for_is_an_error_of_its_own(tmp_path: Path, start: Start) -> None:
    custom = tmp_path / "mine.py"
    custom.write_text("class Mine: ...\n")
    folder = asked(
        tmp_path,
        rule("TreeDepth"),
        rule("VanishingGradient"),
        rule("StepOutlier", stddev="many"),
        RuleConfiguration(name="Mine", rule="Mine", source=custom),
        rule("Dataloader"),
    )
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    assert "XGBoost" in status(folder, "TreeDepth").details
    assert "DebugRuleConfigurations" in status(folder, "VanishingGradient").details
    assert "is 'many' but must be a number" in status(folder, "StepOutlier").details
    assert "has a file of its own" in status(folder, "Mine").details
    assert status(folder, "Dataloader").status == "NoIssuesFound"


def test_a_profile_that_cannot_be_read_is_no_clean_bill(tmp_path: Path, start: Start) -> None:
    folder = asked(tmp_path, rule("StepOutlier"), rule("ProfilerReport"), hosts=2)
    well_built(tmp_path / "profiler-0")
    damaged = tmp_path / "profiler-1" / "timeline" / "worker_0"
    damaged.mkdir(parents=True)
    (damaged / "steps-000001.bin").write_bytes(b"x" * 200)
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    for name in ("StepOutlier", "ProfilerReport"):
        known = status(folder, name)
        assert known.status == "Error"
        assert "could not judge all profiles" in known.details
        assert "is damaged" in known.details
    assert outputs(folder, "ProfilerReport") == THIRTEEN


def test_the_recorders_own_failure_is_told(tmp_path: Path, start: Start) -> None:
    folder = asked(tmp_path, rule("StepOutlier"))
    job = MadeJob(tmp_path / "profiler-0")
    job.train(30)
    job.writer.record_failure("Traceback …\nOSError: the disk is full")
    job.end()
    mark_ended(folder)
    assert start(folder).wait(PATIENCE_S) == 0
    told = found(folder, "StepOutlier")
    assert [one.kind for one in told] == ["watcher_failed"]
    assert "the disk is full" in told[0].message
    log = [event.message for event in read_events(results_folder(folder, "StepOutlier") / LOG_FILE)]
    assert log[0] == "checking StepOutlier (defaults) of job dogs"
    assert log[-1].startswith("NoIssuesFound after 30 values")
