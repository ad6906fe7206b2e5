"""Jobs as processes: they run, they stop, they are found again, nothing is left of them."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from clary.errors import ClaryError
from clary.formats.launch import HostFiles, HostStarted
from clary.service.executors.executor import Ended, Gone, Running, Waiting
from clary.service.executors.local_processes import LocalProcesses
from tests.service.executors.conftest import Bench, MakeExecutor, channel
from tests.waiting import until

SEES = """
import argparse, json, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("--batch_size", type=int)
parser.add_argument("--lr", type=float)
given = parser.parse_args()
channel = os.environ["SM_CHANNEL_TRAINING"]
try:
    open(channel + "/mine", "w")
    writable = True
except OSError:
    writable = False
print(json.dumps({
    "batch_size": given.batch_size,
    "lr": given.lr,
    "argv0": sys.argv[0],
    "path0": sys.path[0],
    "folder": os.getcwd(),
    "name": __name__,
    "file": __file__,
    "channel": channel,
    "files": sorted(os.listdir(channel)),
    "writable": writable,
    "hyperparameters": json.load(open("/opt/ml/input/config/hyperparameters.json")),
    "hosts": json.load(open("/opt/ml/input/config/resourceconfig.json"))["hosts"],
    "job": os.environ["TRAINING_JOB_NAME"],
}))
open(os.environ["SM_MODEL_DIR"] + "/model.bin", "w").write("weights")
"""
STAYS = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
LEAVES_CHILDREN = """
import subprocess, sys, time
sleeps = [sys.executable, "-c", "import time; time.sleep(600)"]
away = subprocess.Popen(sleeps, start_new_session=True)
print(away.pid, flush=True)
print("up", flush=True)
time.sleep({seconds})
"""


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_script_sees_what_sagemaker_promises(bench: Bench, executor: LocalProcesses) -> None:
    bench.put("data/train/a.jpg", "a")
    job = bench.script(
        "sees",
        SEES,
        hyperparameters={"batch_size": '"\\"16\\""', "lr": "0.1"},
        InputDataConfig=[channel("training", "s3://bench/data/train/")],
    )
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0, bench.lines(executor, job)
    seen = json.loads(bench.lines(executor, job)[-1])
    assert seen["batch_size"] == 16 and seen["lr"] == 0.1
    assert (seen["argv0"], seen["path0"]) == ("train.py", "/opt/ml/code")
    assert (seen["folder"], seen["name"]) == ("/opt/ml/code", "__main__")
    assert seen["file"] == "/opt/ml/code/train.py"
    assert seen["channel"] == "/opt/ml/input/data/training"
    assert seen["files"] == ["a.jpg", "mine"] and seen["writable"]
    assert seen["hyperparameters"]["batch_size"] == '"\\"16\\""'
    assert (seen["hosts"], seen["job"]) == (["algo-1"], "sees")
    assert (job.directory.root / "output" / "success").exists()
    assert [info.key for info in bench.store.iterate("bench", "data/")] == ["data/train/a.jpg"]
    assert executor.collect(job).model == "s3://bench/out/sees/output/model.tar.gz"


def test_nothing_is_made_in_the_machines_own_opt(bench: Bench, executor: LocalProcesses) -> None:
    before = sorted(entry.name for entry in Path("/opt").iterdir())
    job = bench.script("opt", "import os\nprint(sorted(os.listdir('/opt')))\n")
    bench.run(executor, job)
    assert bench.lines(executor, job)[-1] == str(sorted({*before, "ml"}))
    assert sorted(entry.name for entry in Path("/opt").iterdir()) == before


def test_the_reason_of_a_failure_is_the_last_error_line(
    bench: Bench, executor: LocalProcesses
) -> None:
    job = bench.script("fails", "print('so far')\nraise ValueError('no such label: 7')\n")
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 1
    assert ended.failure == (
        'AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage "ValueError: no such '
        f'label: 7"\nCommand "{sys.executable} train.py", exit code: 1'
    )
    assert job.directory.failure.read_text().startswith("ExecuteUserScriptError:")


def test_what_the_script_writes_as_its_failure_counts(
    bench: Bench, executor: LocalProcesses
) -> None:
    text = (
        "open('/opt/ml/output/failure', 'w').write('the labels are wrong')\nraise SystemExit(9)\n"
    )
    ended = bench.run(executor, bench.script("says", text))
    assert isinstance(ended, Ended)
    assert (ended.exit_code, ended.failure) == (
        9,
        "AlgorithmError: the labels are wrong, exit code: 9",
    )


def test_sigterm_reaches_the_script_and_its_model_is_kept(
    bench: Bench, executor: LocalProcesses
) -> None:
    text = (
        "import os, signal, sys, time\n"
        "def stop(*_):\n"
        "    open(os.environ['SM_MODEL_DIR'] + '/kept', 'w').write('x')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('up', flush=True)\ntime.sleep(600)\n"
    )
    job = bench.script("stops", text)
    bench.begin(executor, job)
    bench.wait_for_line(executor, job, "up")
    assert isinstance(executor.look(job), Running)
    assert list(executor.processes(job)) == ["algo-1"]
    executor.terminate(job)
    ended = bench.end(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0
    assert (job.directory.model / "kept").exists()
    assert executor.processes(job) == {}


@pytest.mark.parametrize(("how", "exit_code"), [("terminate", 143), ("kill", 137)])
def test_a_stop_right_after_the_launch_is_not_lost(
    bench: Bench, executor: LocalProcesses, how: str, exit_code: int
) -> None:
    for number in range(6):
        job = bench.script(f"early-{number}", STAYS)
        bench.begin(executor, job)
        time.sleep(number * 0.02)
        getattr(executor, how)(job)
        ended = bench.end(executor, job)
        assert isinstance(ended, Ended) and ended.exit_code == exit_code


def test_kill_ends_everything_and_says_137(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.script("killed", LEAVES_CHILDREN.format(seconds=600))
    bench.begin(executor, job)
    bench.wait_for_line(executor, job, "up")
    away = int(bench.lines(executor, job)[-2])
    assert lives(away)
    executor.kill(job)
    ended = bench.end(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 137
    assert ended.failure is not None and "memory ran out" in ended.failure
    until(lambda: not lives(away))


def test_what_a_script_leaves_running_ends_with_it(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.script("leaves", LEAVES_CHILDREN.format(seconds=0))
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0
    until(lambda: not lives(int(bench.lines(executor, job)[-2])))


def test_a_killed_host_is_gone_and_takes_everything_with_it(
    bench: Bench, executor: LocalProcesses
) -> None:
    job = bench.script("lost", LEAVES_CHILDREN.format(seconds=600))
    bench.begin(executor, job)
    bench.wait_for_line(executor, job, "up")
    started = HostStarted.read(HostFiles(job.directory.root))
    assert started is not None
    os.kill(executor.processes(job)["algo-1"], signal.SIGKILL)
    seen = bench.end(executor, job)
    assert isinstance(seen, Gone) and "algo-1 is gone" in seen.reason
    until(lambda: not lives(started.group))
    until(lambda: not lives(int(bench.lines(executor, job)[-2])))


def test_a_new_executor_finds_the_job_and_does_not_start_it_again(
    bench: Bench, make_executor: MakeExecutor
) -> None:
    first = make_executor(warm=False)
    job = bench.script("found", "import time\nprint('once', flush=True)\ntime.sleep(0.5)\n")
    bench.begin(first, job)
    first.close()
    second = make_executor(warm=False)
    second.launch(job)
    assert isinstance(bench.end(second, job), Ended)
    assert bench.lines(second, job).count("once") == 1


def test_jobs_outlive_the_process_that_started_them(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.script("outlives", "import time\ntime.sleep(0.7)\nprint('done')\n")
    executor.prepare(job, lambda message: None)
    pid = os.fork()
    if pid == 0:
        executor.launch(job)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert isinstance(executor.look(job), Running | Waiting)
    ended = bench.end(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0
    assert bench.lines(executor, job)[-1] == "done"


def test_a_crash_between_the_marker_and_the_start_is_seen(
    bench: Bench, executor: LocalProcesses
) -> None:
    job = bench.script("between", STAYS)
    executor.prepare(job, lambda message: None)
    (job.directory.root / ".launched").write_text("1764757000")
    executor.launch(job)
    assert isinstance(executor.look(job), Gone)


def test_a_shell_script_and_its_exit_code(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.script(
        "shell",
        '#!/bin/sh\necho "got $@"\npwd\nexit 3\n',
        program="run.sh",
        hyperparameters={"name": '"two words"'},
    )
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 3
    assert bench.lines(executor, job)[-2:] == ["got --name two words", "/opt/ml/code"]


def test_an_entry_point_runs_as_the_sdk_v3_starts_it(
    bench: Bench, executor: LocalProcesses
) -> None:
    bench.put("v3/code/main.py", "print('from', __file__)")
    command = "chmod +x /bin/true && command -v pip3 && python3 /opt/ml/input/data/code/main.py"
    job = bench.job(
        "entry",
        AlgorithmSpecification={
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": ["-c", command],
        },
        InputDataConfig=[channel("code", "s3://bench/v3/code/")],
    )
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0, bench.lines(executor, job)
    assert bench.lines(executor, job)[-1] == "from /opt/ml/input/data/code/main.py"


def test_an_image_that_is_not_here_is_refused_by_name(
    bench: Bench, executor: LocalProcesses
) -> None:
    job = bench.job("foreign", AlgorithmSpecification={"TrainingImage": "xgboost:1.7"})
    with pytest.raises(ClaryError, match=r"the image xgboost:1\.7 holds a program"):
        executor.prepare(job, lambda message: None)


def test_preparing_again_after_a_crash_gives_the_same(
    bench: Bench, executor: LocalProcesses
) -> None:
    bench.put("data/a", "a")
    job = bench.script(
        "again", "print('ran')\n", InputDataConfig=[channel("training", "s3://bench/data/a")]
    )
    executor.prepare(job, lambda message: None)
    assert isinstance(bench.run(executor, job), Ended)
    assert bench.lines(executor, job)[-1] == "ran"


def test_a_gpu_type_without_a_gpu_is_said_in_the_log(
    bench: Bench, executor: LocalProcesses
) -> None:
    resources = {"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1}
    job = bench.script(
        "gpu", "import os\nprint(os.environ['SM_NUM_GPUS'])\n", ResourceConfig=resources
    )
    bench.run(executor, job)
    lines = bench.lines(executor, job)
    if lines[-1] == "0":
        assert lines[0].startswith("clary: ml.g4dn.xlarge has GPUs but this machine has none")


def test_discard_takes_the_directory_away(bench: Bench, executor: LocalProcesses) -> None:
    job = bench.script("away", "print('x')\n")
    bench.run(executor, job)
    executor.discard(job)
    executor.discard(job)
    assert not job.directory.root.exists()
    assert executor.logs(job) == ()


def test_terminate_ends_an_installation(bench: Bench, executor: LocalProcesses) -> None:
    hangs = "import time\ntime.sleep(600)\n"
    job = bench.script("installs", "print('x')\n", files={"setup.py": hangs})
    stopper = threading.Timer(1.5, executor.terminate, [job])
    stopper.start()
    with pytest.raises(ClaryError, match="was stopped"):
        executor.prepare(job, lambda message: None)
    stopper.join()


def test_a_stop_before_the_installation_counts(bench: Bench, executor: LocalProcesses) -> None:
    hangs = "import time\ntime.sleep(600)\n"
    job = bench.script("not-yet", "print('x')\n", files={"setup.py": hangs})
    executor.terminate(job)
    with pytest.raises(ClaryError, match="was stopped"):
        executor.prepare(job, lambda message: None)


def test_hyperparameters_that_no_environment_can_hold(
    bench: Bench, executor: LocalProcesses
) -> None:
    odd = {"a=b": "1", "nul": '"\\u0000"'}
    job = bench.script("odd", "print('ran')\n", hyperparameters=odd)
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0, bench.lines(executor, job)


def test_network_isolation_that_is_not_enforced_is_said(
    bench: Bench, executor: LocalProcesses
) -> None:
    job = bench.script("isolated", "print('ran')\n", EnableNetworkIsolation=True)
    bench.run(executor, job)
    assert bench.lines(executor, job)[0].startswith("clary: network isolation is not enforced")


def test_a_shell_pipeline_whose_reader_leaves_ends(bench: Bench, executor: LocalProcesses) -> None:
    text = "#!/bin/bash\nyes 2>&1 | head -n 1\necho ${PIPESTATUS[0]}\n"
    job = bench.script("pipeline", text, program="run.sh")
    bench.run(executor, job)
    assert bench.lines(executor, job)[-2:] == ["y", "141"]


def test_a_channel_that_cannot_be_streamed_ends_the_job_with_the_reason(
    bench: Bench, executor: LocalProcesses
) -> None:
    bench.put("data/a", "a")
    text = "import time\nopen('/opt/ml/input/data/training_0').read()\ntime.sleep(600)\n"
    source = {**channel("training", "s3://bench/data/"), "InputMode": "Pipe"}
    job = bench.script("unstreamed", text, InputDataConfig=[source])
    executor.prepare(job, lambda message: None)
    bench.store.info("bench", "data/a").path.unlink()
    executor.launch(job)
    ended = bench.end(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code != 0
    assert ended.failure is not None
    said = ended.failure.removeprefix("ClientError: ")
    assert said.startswith("the channel training cannot be streamed: ")
    assert bench.lines(executor, job)[-1] == f"clary: {said}"


def test_a_host_that_finds_the_disk_full_says_so_when_there_is_room(
    bench: Bench, executor: LocalProcesses
) -> None:
    job = bench.script("no-room", "print('x')\n")
    executor.prepare(job, lambda message: None)
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Enough for a process id, and inherited by the host.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        executor.launch(job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    until(lambda: executor.processes(job))
    host = psutil.Process(executor.processes(job)["algo-1"])
    time.sleep(0.5)
    assert executor.look(job) == Waiting()
    host.rlimit(resource.RLIMIT_FSIZE, unlimited)
    ended = bench.end(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 1
    assert ended.failure is not None and "File too large" in ended.failure
