"""What the profiler sees of a job: where scripts are told to write it, and what S3 gets of it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clary.formats.profiler_configuration import ProfilerConfiguration
from clary.formats.rule_request import RuleRequest
from clary.formats.timeline.reader import Timeline
from clary.service.executors.executor import Ended, TrainingJobSpec
from clary.service.executors.local_processes import LocalProcesses
from tests.service.executors.conftest import Bench, MakeExecutor
from tests.service.supervisor.rules.rule_jobs import profiler_rule
from tests.waiting import until

# Off, so that nobody but the script writes; a script that is not watched writes as one that is.
OFF = {"DisableProfiler": True, "S3OutputPath": "s3://bench/profile"}
TWO: dict[str, Any] = {"InstanceType": "ml.m5.large", "InstanceCount": 2}
SOURCE = str(Path(__file__).resolve().parents[3] / "src")
WRITES = """
import os, sys, time
sys.path.insert(0, {source!r})
from pathlib import Path
from clary.formats.system_metrics import Metric, append_snapshot
from clary.formats.timeline import Mode, StepRecord, TimelineWriter
folder, node = Path(os.environ["CLARY_PROFILER_FOLDER"]), os.environ["CLARY_PROFILER_NODE"]
print(Path(os.environ["CLARY_PROFILER_FILE"]).read_text(), flush=True)
append_snapshot(folder, node, 1_700_000_000.0, [Metric("cpu", "cpu0", "CPUUtilization", 7.0)])
(folder / "system" / "failures.jsonl").write_text("{{}}\\n")
writer = TimelineWriter(folder)
for number in range(3):
    start_us = 1_700_000_000_000_000 + number
    writer.write_steps([StepRecord(Mode.TRAIN, number, start_us, 0.1, 0.1)])
    {then}
writer.close()
print("written", flush=True)
"""


def script(then: str = "pass") -> str:
    return WRITES.format(source=SOURCE, then=then)


def keys(bench: Bench, prefix: str) -> set[str]:
    return {info.key.removeprefix(prefix) for info in bench.store.iterate("bench", prefix)}


def ended_well(bench: Bench, executor: LocalProcesses, job: TrainingJobSpec) -> None:
    ended = bench.end(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0, bench.lines(executor, job)


SYSTEM = "system/incremental/2023111422/1699999980"


def test_a_profile_goes_to_s3_and_keeps_its_names(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.script("one", script(), ProfilerConfig=OFF)
    bench.begin(executor, job)
    ended_well(bench, executor, job)
    executor.collect(job)
    assert keys(bench, "profile/one/profiler-output/") == {
        f"{SYSTEM}.algo-1.json",
        "system/failures.jsonl",
        "timeline/worker_0/steps-000001.bin",
    }
    told = job.directory.config / "profilerconfig.json"
    assert json.loads(told.read_text()) == OFF
    assert '  "DisableProfiler": true,' in bench.lines(executor, job)


def test_profiles_of_several_hosts_lie_side_by_side(
    bench: Bench, executor: LocalProcesses, tmp_path: Path
) -> None:
    job = bench.script("two", script(), ProfilerConfig=OFF, ResourceConfig=TWO)
    bench.begin(executor, job)
    ended_well(bench, executor, job)
    executor.collect(job)
    prefix = "profile/two/profiler-output/"
    assert keys(bench, prefix) == {
        *(f"{SYSTEM}.{node}.json" for node in job.host_names),
        *(f"system/{node}-failures.jsonl" for node in job.host_names),
        *(f"timeline/{node}-worker_0/steps-000001.bin" for node in job.host_names),
    }
    for info in bench.store.iterate("bench", prefix):
        path = tmp_path / info.key.removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(info.path.read_bytes())
    timeline = Timeline(tmp_path)
    timeline.refresh()
    steps = {name: len(worker.steps()) for name, worker in timeline.workers.items()}
    assert steps == {"algo-1-worker_0": 3, "algo-2-worker_0": 3}


def test_a_profile_that_grows_without_pause_goes_while_the_job_runs(
    bench: Bench, make_executor: MakeExecutor
) -> None:
    executor = make_executor(warm=False, profile_period_s=0.3)
    text = script("print(number, flush=True); time.sleep(0.01 if number < 2 else 600)")
    job = bench.script("grows", text, ProfilerConfig=OFF)
    bench.begin(executor, job)
    key = "profile/grows/profiler-output/timeline/worker_0/steps-000001.bin"
    bench.wait_for_line(executor, job, "2")
    steps = job.directory.root / "output/profiler/timeline/worker_0/steps-000001.bin"
    until(
        lambda: (
            executor.look(job)
            and [one.path.read_bytes() for one in bench.store.iterate("bench", key)]
            == [steps.read_bytes()]
        )
    )
    executor.kill(job)
    bench.end(executor, job)


def test_hosts_read_what_was_changed(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.script("changed", "import time\ntime.sleep(600)\n", ResourceConfig=TWO)
    bench.begin(executor, job)
    hosts = (job.directory.root, job.directory.root / "hosts" / "algo-2")
    files = [host / "input/config/profilerconfig.json" for host in hosts]
    assert not any(file.exists() for file in files)
    for interval in (1000, 200):
        config = {**OFF, "ProfilingIntervalInMilliseconds": interval}
        executor.configure(replace(job, updates={"ProfilerConfig": config}))
        read = [ProfilerConfiguration.read(file) for file in files]
        assert [one.interval_ms for one in read] == [interval, interval]
        inodes = [file.stat().st_ino for file in files]
        executor.configure(replace(job, updates={"ProfilerConfig": config}))
        assert [file.stat().st_ino for file in files] == inodes
    files[0].write_text("{")
    executor.configure(replace(job, updates={"ProfilerConfig": config}))
    assert ProfilerConfiguration.read(files[0]).interval_ms == 200
    executor.kill(job)
    bench.end(executor, job)


@pytest.mark.parametrize("asked", [True, False])
def test_framework_events_are_there_when_they_were_asked_for(
    bench: Bench, executor: LocalProcesses, asked: bool
) -> None:
    window = {"DetailedProfilingConfig": '{"StartStep": 0, "NumSteps": 2, }'}
    config = {**OFF, "ProfilingParameters": window if asked else {}}
    job = bench.script("events", script(), ProfilerConfig=config)
    bench.begin(executor, job)
    ended_well(bench, executor, job)
    executor.collect(job)
    stored = keys(bench, "profile/events/profiler-output/framework/pevents/")
    assert bool(stored) == asked, bench.lines(executor, job)
    assert all(".json" in key and "algo-1" in key for key in stored)


def test_what_the_checker_of_a_profile_is_told(bench: Bench, executor: LocalProcesses) -> None:
    rules = [profiler_rule("ProfilerReport", CPUBottleneck_threshold="60")]
    before = time.time()
    job = bench.script(
        "told",
        "print('x')\n",
        ProfilerConfig=OFF,
        ProfilerRuleConfigurations=rules,
        ResourceConfig=TWO,
    )
    bench.begin(executor, job)
    ended_well(bench, executor, job)
    (checker,) = job.checkers
    executor.checkers.training_ended(job)
    ended = (checker.folder / "ended").stat().st_mtime_ns
    executor.checkers.training_ended(job)
    assert (checker.folder / "ended").stat().st_mtime_ns == ended
    executor.checkers.start(job, checker)
    request = RuleRequest.read(checker.folder)
    until(lambda: not executor.checkers.lives(checker))
    root = job.directory.root
    assert checker.folder == root / "rules.profiler"
    assert (request.kind, request.tensors) == ("profiler", ())
    assert request.profiles == (
        root / "output/profiler",
        root / "hosts/algo-2/output/profiler",
    )
    assert request.started_s is not None and before <= request.started_s <= time.time()
    assert request.rules[0].parameters == {"CPUBottleneck_threshold": "60"}
    assert request.about["instances"] == "2 × ml.m5.large"
    assert request.about["program"] == "train.py"
    assert request.about["region"] == "us-east-1"


def test_of_a_report_s3_gets_what_sagemaker_stores(bench: Bench, executor: LocalProcesses) -> None:
    rules = [profiler_rule("ProfilerReport"), profiler_rule("steps", "StepOutlier")]
    later = profiler_rule("later", "ProfilerReport")
    job = bench.job("stored", ProfilerConfig=OFF, ProfilerRuleConfigurations=rules)
    job = replace(job, updates={"ProfilerRuleConfigurations": [later]})
    together, alone = job.checkers
    for checker in (together, alone):
        for rule in checker.rules:
            for name in ("status.json", "profiler-output/profiler-report.html"):
                path = checker.result(rule.configuration) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("{}")
    for checker in (together, alone):
        executor.checkers.training_ended(job)
        executor.checkers.start(job, checker)
        executor.checkers.end(checker, at_once=True)
        until(lambda checker=checker: not executor.checkers.lives(checker))
    executor.checkers.collect(job)
    stored = keys(bench, "out/stored/rule-output/")
    assert {key for key in stored if not key.startswith("steps/")} >= {
        "ProfilerReport/profiler-output/profiler-report.html",
        "later/profiler-output/profiler-report.html",
    }
    assert not any(key.endswith(("/log", "jsonl")) for key in stored if "steps/" not in key)
    assert "steps/status.json" in stored
    assert not {"ProfilerReport/status.json", "later/status.json"} & stored
    assert (job.directory.root / "rules.profiler" / "later").is_symlink()
