"""Jobs of two hosts: torchrun over gloo, and what happens when one of them fails."""

from __future__ import annotations

import json
import tarfile

from clary.service.executors.executor import Ended
from clary.service.executors.local_processes import LocalProcesses
from tests.service.executors.conftest import Bench, channel

TWO = {"InstanceType": "ml.c5.large", "InstanceCount": 2}
TOGETHER = """
import os, torch, torch.distributed as dist
dist.init_process_group("gloo")
total = torch.tensor([dist.get_rank() + 1.0])
dist.all_reduce(total)
print(dist.get_rank(), dist.get_world_size(), total.item(), os.environ["SM_CURRENT_HOST"])
name = f"/from-{dist.get_rank()}"
open(os.environ["SM_MODEL_DIR"] + name, "w").write("x")
open("/opt/ml/checkpoints" + name, "w").write("x")
dist.destroy_process_group()
"""


def test_two_hosts_train_together_under_torchrun(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.script(
        "together",
        TOGETHER,
        hyperparameters={"sagemaker_torch_distributed_enabled": "true"},
        ResourceConfig=TWO,
        CheckpointConfig={"S3Uri": "s3://bench/checkpoints"},
    )
    ended = bench.run(executor, job)
    lines = bench.lines(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0, "\n".join(lines)
    assert {"0 2 3.0 algo-1", "1 2 3.0 algo-2"} <= set(lines)
    streams = [log.stream.rpartition("-")[0] for log in executor.logs(job)]
    assert streams == ["together/algo-1", "together/algo-2"]
    executor.collect(job)
    with tarfile.open(bench.store.info("bench", "out/together/output/model.tar.gz").path) as tar:
        assert tar.getnames() == ["from-0", "from-1"]
    kept = [info.key for info in bench.store.iterate("bench", "checkpoints/")]
    assert kept == ["checkpoints/from-0", "checkpoints/from-1"]


def test_hosts_know_one_another_by_name_and_have_a_folder_each(
    bench: Bench, executor: LocalProcesses
) -> None:
    bench.put("data/a", "a")
    text = (
        "import json, os, socket\n"
        "hosts = json.loads(os.environ['SM_HOSTS'])\n"
        "print(json.dumps([os.environ['SM_CURRENT_HOST'],\n"
        "  [socket.gethostbyname(host) for host in hosts], os.environ['SM_OUTPUT_DATA_DIR'],\n"
        "  os.listdir(os.environ['SM_CHANNEL_TRAINING'])]))\n"
        "open(os.environ['SM_OUTPUT_DATA_DIR'] + '/said.txt', 'w').close()\n"
        "open('/opt/ml/kept/' + os.environ['SM_CURRENT_HOST'] + '.pt', 'w').close()\n"
    )
    source = channel("training", "s3://bench/data/")
    job = bench.script(
        "named",
        text,
        ResourceConfig=TWO,
        InputDataConfig=[source],
        CheckpointConfig={"S3Uri": "s3://bench/kept", "LocalPath": "/opt/ml/kept"},
    )
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0
    said = [json.loads(line) for line in bench.lines(executor, job) if line.startswith("[")]
    assert said == [
        [host, ["127.0.0.1"] * 2, f"/opt/ml/output/data/{host}", ["a"]]
        for host in ("algo-1", "algo-2")
    ]
    executor.collect(job)
    with tarfile.open(bench.store.info("bench", "out/named/output/output.tar.gz").path) as tar:
        assert tar.getnames() == ["algo-1/said.txt", "algo-2/said.txt"]
    kept = [info.key for info in bench.store.iterate("bench", "kept/")]
    assert kept == ["kept/algo-1.pt", "kept/algo-2.pt"]


def test_the_first_host_that_fails_ends_the_job(bench: Bench, executor: LocalProcesses) -> None:
    text = (
        "import os, time\n"
        "if os.environ['SM_CURRENT_HOST'] == 'algo-2':\n    raise RuntimeError('unwell')\n"
        "time.sleep(600)\n"
    )
    job = bench.script("one-fails", text, ResourceConfig=TWO)
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 1
    assert ended.failure is not None and "RuntimeError: unwell" in ended.failure
