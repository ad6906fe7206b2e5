"""Checkpoints go both ways."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import cast

import pytest

from clary.errors import ClaryError
from clary.object_store.store import ObjectStore
from clary.service.executors.checkpoints import Checkpoints
from clary.service.executors.executor import Ended
from clary.service.executors.local_processes import LocalProcesses
from tests.service.executors.conftest import Bench, MakeExecutor
from tests.waiting import NEVER_S, PATIENCE_S, until

CONFIG = {"S3Uri": "s3://bench/checkpoints/run"}


def contents(bench: Bench) -> dict[str, str]:
    return {
        info.key.removeprefix("checkpoints/run/"): info.path.read_text()
        for info in bench.store.iterate("bench", "checkpoints/run/")
    }


def test_checkpoints_come_before_the_start_and_go_at_the_end(
    bench: Bench, executor: LocalProcesses
) -> None:
    bench.put("checkpoints/run/epoch-1.pt", "one")
    bench.put("checkpoints/run/sub/old.pt", "old")
    text = (
        "import os\n"
        "print(sorted(os.listdir('/opt/ml/checkpoints')))\n"
        "open('/opt/ml/checkpoints/epoch-1.pt', 'a').write(' more')\n"
        "open('/opt/ml/checkpoints/epoch-2.pt', 'w').write('two')\n"
        "os.remove('/opt/ml/checkpoints/sub/old.pt')\n"
    )
    job = bench.script("resumes", text, CheckpointConfig=CONFIG)
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0, bench.lines(executor, job)
    assert bench.lines(executor, job)[-1] == "['epoch-1.pt', 'sub']"
    executor.collect(job)
    assert contents(bench) == {"epoch-1.pt": "one more", "epoch-2.pt": "two"}


def test_they_go_while_the_job_runs(bench: Bench, make_executor: MakeExecutor) -> None:
    executor = make_executor(warm=False, checkpoint_period_s=0.1)
    text = (
        "import os, time\n"
        "open('/opt/ml/checkpoints/a', 'w').write('a')\n"
        "while not os.path.exists('/opt/ml/go'):\n    time.sleep(0.02)\n"
        "os.remove('/opt/ml/checkpoints/a')\n"
        "time.sleep(600)\n"
    )
    job = bench.script("follows", text, CheckpointConfig=CONFIG)
    bench.begin(executor, job)
    for expected in ({"a": "a"}, {}):
        until(lambda expected=expected: executor.look(job) and contents(bench) == expected)
        (job.directory.root / "go").touch()
    executor.kill(job)
    bench.end(executor, job)


def test_what_others_add_in_s3_is_left_alone(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.script("alone", "print('x')\n", CheckpointConfig=CONFIG)
    bench.run(executor, job)
    bench.put("checkpoints/run/from-elsewhere", "x")
    executor.collect(job)
    assert contents(bench) == {"from-elsewhere": "x"}
    assert not (job.directory.checkpoints / "from-elsewhere").exists()


def test_an_unchanged_file_is_not_uploaded_again(bench: Bench, executor: LocalProcesses) -> None:
    bench.put("checkpoints/run/big.pt", "content")
    job = bench.script("same", "print('x')\n", CheckpointConfig=CONFIG)
    before = bench.store.info("bench", "checkpoints/run/big.pt")
    bench.run(executor, job)
    executor.collect(job)
    assert bench.store.info("bench", "checkpoints/run/big.pt").modified == before.modified


class SlowStore:
    """A store whose uploads take as long as the test wants."""

    def __init__(self) -> None:
        self.uploading = threading.Event()
        self.go_on = threading.Event()

    def put(self, bucket: str, key: str, source: Path) -> None:
        self.uploading.set()
        assert self.go_on.wait(NEVER_S)


def test_following_does_not_wait_for_an_upload(bench: Bench) -> None:
    store = SlowStore()
    checkpoints = Checkpoints(cast(ObjectStore, store), period_s=0.05)
    slow = bench.script("slow", "1", CheckpointConfig=CONFIG)
    slow.directory.checkpoints.mkdir(parents=True)
    (slow.directory.checkpoints / "big.pt").write_text("x")
    checkpoints.follow(slow)
    assert store.uploading.wait(PATIENCE_S)
    other = bench.script("other", "1", CheckpointConfig=CONFIG)
    other.directory.checkpoints.mkdir(parents=True)
    began = time.monotonic()
    checkpoints.follow(slow)
    checkpoints.follow(other)
    checkpoints.finish(other)
    assert time.monotonic() - began < PATIENCE_S
    store.go_on.set()
    checkpoints.finish(slow)
    checkpoints.close()


@pytest.mark.parametrize("path", ["/tmp/checkpoints", "/opt/ml", "/opt/ml/../x"])
def test_a_folder_outside_opt_ml_is_refused(
    bench: Bench, executor: LocalProcesses, path: str
) -> None:
    job = bench.script("outside", "1", CheckpointConfig={**CONFIG, "LocalPath": path})
    with pytest.raises(ClaryError, match=r"CheckpointConfig\.LocalPath is"):
        executor.prepare(job, lambda message: None)
