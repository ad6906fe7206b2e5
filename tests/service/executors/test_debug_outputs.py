"""What the debugger writes goes to S3 while the job runs, and is whole when it has ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clary.formats.rule_request import ended_marker
from clary.formats.tensor_log import TensorLog
from clary.formats.tensor_log.layout import live_of
from clary.service.executors.executor import Ended
from clary.service.executors.local_processes import LocalProcesses
from clary.service.requests.rule_configurations import checkers_of
from tests.service.executors.conftest import Bench, MakeExecutor
from tests.service.supervisor.rules.rule_jobs import rule
from tests.waiting import until

HOOK = {"S3OutputPath": "s3://bench/debug/"}
# Writes a log as a hook does, and is killed in the middle.
WRITES = """
import os, sys, time
sys.path.insert(0, {source!r})
from pathlib import Path
from clary.formats.tensor_log import TensorLogWriter
from clary.formats.tensor_log.entries import Capture, Mode, Step
writer = TensorLogWriter(Path("/opt/ml/output/tensors"), worker={worker})
for number in range(3):
    writer.write(Capture(Step(number, Mode.TRAIN, number, time.time()), scalars={{"loss": 0.5}}))
print("written", flush=True)
{then}
"""
SOURCE = str(Path(__file__).resolve().parents[3] / "src")


def script(then: str, worker: str = '"worker_0"') -> str:
    return WRITES.format(source=SOURCE, then=then, worker=worker)


def keys(bench: Bench, prefix: str) -> set[str]:
    return {info.key.removeprefix(prefix) for info in bench.store.iterate("bench", prefix)}


def wait_for_key(bench: Bench, prefix: str, key: str) -> None:
    until(lambda: key in keys(bench, prefix), lambda: keys(bench, prefix))


def read_from_s3(bench: Bench, job: str, folder: Path) -> TensorLog:
    """What a reader sees that has nothing but the objects."""
    prefix = f"debug/{job}/debug-output/"
    for info in bench.store.iterate("bench", prefix):
        path = folder / info.key.removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(info.path.read_bytes())
    log = TensorLog(folder)
    log.refresh()
    return log


def test_a_writer_that_was_killed_leaves_a_whole_log_in_s3(
    bench: Bench, executor: LocalProcesses, tmp_path: Path
) -> None:
    then = "os.kill(os.getpid(), 9)"
    job = bench.script("killed", script(then), DebugHookConfig=HOOK)
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code != 0
    executor.collect(job)
    stored = keys(bench, "debug/killed/debug-output/")
    assert "training_job_end.ts" in stored
    assert not any(Path(key).name.startswith(".") for key in stored)
    log = read_from_s3(bench, "killed", tmp_path / "read")
    assert log.ended
    assert dict(log.scalars("loss")) == {0: 0.5, 1: 0.5, 2: 0.5}


def test_rules_hear_of_the_end_when_the_tensors_are_whole(
    bench: Bench, executor: LocalProcesses
) -> None:
    then = "os.kill(os.getpid(), 9)"
    rules = [rule("r", rule_to_invoke="ExplodingTensor", tensor_regex="loss")]
    text = script(then)
    job = bench.script("told", text, DebugHookConfig=HOOK, DebugRuleConfigurations=rules)
    bench.run(executor, job)
    folder = job.directory.root / "output" / "tensors" / "statistics"
    assert any(live_of(path.name) for path in folder.iterdir())
    executor.checkers.training_ended(job)
    (checker,) = checkers_of(job.request, job.directory.root)
    assert ended_marker(checker.folder).exists()
    assert list(folder.glob("*.sqlite"))
    assert not any(live_of(path.name) for path in folder.iterdir())


def test_rules_hear_of_the_end_though_the_tensors_cannot_be_made_whole(
    bench: Bench, executor: LocalProcesses
) -> None:
    rules = [rule("r", rule_to_invoke="ExplodingTensor", tensor_regex="loss")]
    job = bench.job("blocked", DebugHookConfig=HOOK, DebugRuleConfigurations=rules)
    folder = job.directory.root / "output"
    folder.mkdir(parents=True)
    (folder / "tensors").write_text("no folder")
    executor.checkers.training_ended(job)
    (checker,) = checkers_of(job.request, job.directory.root)
    assert ended_marker(checker.folder).exists()


def test_tensors_and_board_go_while_the_job_runs(bench: Bench, make_executor: MakeExecutor) -> None:
    executor = make_executor(warm=False, debug_period_s=0.1)
    then = (
        "writer.flush()\n"
        "os.makedirs('/opt/ml/output/tensorboard', exist_ok=True)\n"
        "open('/opt/ml/output/tensorboard/events.out.1', 'w').write('x')\n"
        "time.sleep(600)\n"
    )
    board = {"S3OutputPath": "s3://bench/board"}
    text = script(then)
    job = bench.script("runs", text, DebugHookConfig=HOOK, TensorBoardOutputConfig=board)
    bench.begin(executor, job)
    wait_for_key(bench, "debug/runs/debug-output/", "statistics/00000001-worker_0.sqlite")
    wait_for_key(bench, "board/runs/tensorboard-output/", "events.out.1")
    assert "training_job_end.ts" not in keys(bench, "debug/runs/debug-output/")
    executor.kill(job)
    bench.end(executor, job)
    executor.collect(job)
    assert "training_job_end.ts" in keys(bench, "debug/runs/debug-output/")


def test_tensors_become_event_files_where_they_are_asked_for(
    bench: Bench, executor: LocalProcesses
) -> None:
    board = {"S3OutputPath": "s3://bench/board"}
    text = script("writer.close()")
    job = bench.script("board", text, DebugHookConfig=HOOK, TensorBoardOutputConfig=board)
    bench.run(executor, job)
    executor.collect(job)
    (key,) = keys(bench, "board/board/tensorboard-output/")
    assert key.startswith("TRAIN/events.out.tfevents.")
    info = bench.store.info("bench", f"board/board/tensorboard-output/{key}")
    assert info.path.read_bytes().count(b"loss") == 3


def test_what_a_person_deletes_stays_in_s3(bench: Bench, executor: LocalProcesses) -> None:
    then = "writer.close()\n"
    job = bench.script("kept", script(then), DebugHookConfig=HOOK)
    bench.run(executor, job)
    executor.collect(job)
    before = keys(bench, "debug/kept/debug-output/")
    tensors = job.directory.root / "output" / "tensors"
    for path in tensors.rglob("*.sqlite"):
        path.unlink()
    executor.collect(job)
    assert keys(bench, "debug/kept/debug-output/") == before


def test_each_host_s_tensors_go_to_one_folder(
    bench: Bench, executor: LocalProcesses, tmp_path: Path
) -> None:
    worker = "'worker_' + str(int(os.environ['SM_CURRENT_HOST'][-1]) - 1)"
    two: dict[str, Any] = {"InstanceType": "ml.m5.large", "InstanceCount": 2}
    text = script("writer.close()", worker)
    job = bench.script("hosts", text, DebugHookConfig=HOOK, ResourceConfig=two)
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0, bench.lines(executor, job)
    executor.collect(job)
    assert read_from_s3(bench, "hosts", tmp_path / "read").workers == ("worker_0", "worker_1")


def test_a_bucket_that_is_not_there_does_not_fail_the_training(
    bench: Bench, executor: LocalProcesses
) -> None:
    hook = {"S3OutputPath": "s3://nowhere/debug"}
    job = bench.script("nowhere", script("writer.close()"), DebugHookConfig=hook)
    bench.run(executor, job)
    executor.collect(job)
    last = bench.lines(executor, job)[-1]
    assert last.startswith("clary: what the debugger saw is not all in S3:")
    assert "nowhere" in last


def test_the_hook_s_configuration_is_there_only_when_it_was_asked_for(
    bench: Bench, executor: LocalProcesses
) -> None:
    bench.run(executor, bench.script("plain", "print('x')\n"))
    assert not (bench.settings.jobs_dir / "plain" / "input/config/debughookconfig.json").exists()
    job = bench.script("hooked", "print('x')\n", DebugHookConfig=HOOK)
    bench.run(executor, job)
    executor.collect(job)
    written = json.loads((job.directory.config / "debughookconfig.json").read_text())
    assert written == HOOK
    assert keys(bench, "debug/") == {"hooked/debug-output/training_job_end.ts"}
