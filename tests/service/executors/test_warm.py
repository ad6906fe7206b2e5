"""Hosts forked from a parent that has torch loaded: the same to a script as a fresh interpreter."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clary.formats.client_environment import SHIMS
from clary.object_store.store import ObjectStore
from clary.service.executors.executor import Ended
from clary.service.executors.local_processes import LocalProcesses
from clary.service.executors.replica_executor import Alive, ReplicaSpec
from clary.settings import Settings
from tests.service.executors.conftest import BUCKET, Bench
from tests.service.executors.replicas.conftest import colour_model
from tests.waiting import until

WARM_SECONDS = 90.0
FACTS = """
import json, os, sys
loaded = "torch" in sys.modules
import helper_of_mine, numpy, torch
print(json.dumps({
    "argv": sys.argv, "path": sys.path, "name": __name__, "file": __file__,
    "folder": os.getcwd(), "main": sys.modules["__main__"].__file__,
    "handles": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:3],
    "open": len(os.listdir("/proc/self/fd")),
    "environment": sorted(name for name in os.environ if name != "LC_CTYPE"),
    "executable": sys.executable,
    "signals": [str(__import__("signal").getsignal(n)) for n in (2, 13, 15, 17)],
    "session": os.getsid(0) == os.getppid(), "group": os.getpgrp() == os.getpid(),
}))
print(json.dumps([loaded, numpy.random.rand(), torch.get_num_threads()]))
"""


def wait_until_warm(executor: LocalProcesses) -> None:
    until(lambda: executor.is_warm)


@pytest.fixture(scope="module")
def warm_bench(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Bench, LocalProcesses]]:
    settings = Settings(home=tmp_path_factory.mktemp("warm") / "home")
    store = ObjectStore(settings.buckets_dir)
    store.create_bucket(BUCKET)
    executor = LocalProcesses(settings, store)
    wait_until_warm(executor)
    yield Bench(settings, store), executor
    executor.close()
    store.close()


def test_a_script_cannot_tell_a_fork_from_a_fresh_interpreter(
    warm_bench: tuple[Bench, LocalProcesses],
) -> None:
    bench, executor = warm_bench
    seen = {}
    for name, environment in (("fork", {}), ("fresh", {"OMP_NUM_THREADS": "1"})):
        job = bench.script(
            f"facts-{name}",
            FACTS,
            files={"helper_of_mine.py": ""},
            hyperparameters={"lr": "1"},
            Environment={"ASKED": "x", **environment},
        )
        ended = bench.run(executor, job)
        assert isinstance(ended, Ended) and ended.exit_code == 0, bench.lines(executor, job)
        facts, (loaded, *_) = map(json.loads, bench.lines(executor, job)[-2:])
        facts["environment"] = [n for n in facts["environment"] if n != "OMP_NUM_THREADS"]
        seen[name] = facts
        assert loaded == (name == "fork")
    assert seen["fork"] == seen["fresh"]
    assert seen["fork"]["argv"] == ["train.py", "--lr", "1"]


def test_forks_have_random_numbers_of_their_own(
    warm_bench: tuple[Bench, LocalProcesses],
) -> None:
    bench, executor = warm_bench
    text = (
        "import numpy, random, torch\n"
        "print(numpy.random.rand(), random.random(), torch.initial_seed(), sep='\\n')\n"
    )
    said = set()
    for number in range(3):
        job = bench.script(f"random-{number}", text)
        bench.run(executor, job)
        said.update(bench.lines(executor, job)[-3:])
    assert len(said) == 9


@pytest.mark.parametrize(
    ("text", "exit_code", "last_line"),
    [
        ("import sys\nsys.exit(7)\n", 7, None),
        ("import sys\nsys.exit('not today')\n", 1, "not today"),
        ("raise SystemExit\n", 0, None),
        ("import sys\nprint('last')\nsys.stdout.close()\n", 0, "last"),
        ("import sys\nsys.stdout = sys.stderr = None\n", 0, None),
        ("import sys\nsys.stderr = None\nsys.exit('not today')\n", 1, "not today"),
        ("import sys\nsys.excepthook = None\nraise KeyError('x')\n", 1, "KeyError: 'x'"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", 139, None),
        ("def f():\n    raise KeyError('x')\nf()\n", 1, "KeyError: 'x'"),
        ("def broken(:\n", 1, "SyntaxError: invalid syntax"),
        ("import atexit\natexit.register(print, 'at the end')\n", 0, "at the end"),
        (
            "import threading, time\n"
            "def late():\n    time.sleep(0.2)\n    print('late')\n"
            "threading.Thread(target=late).start()\n",
            0,
            "late",
        ),
        (
            "import torch\n"
            "from torch.utils.data import DataLoader, TensorDataset\n"
            "data = TensorDataset(torch.arange(8.0))\n"
            "loader = DataLoader(data, batch_size=4, num_workers=2)\n"
            "print(sum(batch[0].sum().item() for batch in loader))\n",
            0,
            "28.0",
        ),
        (
            "import multiprocessing\n"
            "def double(x):\n    return 2 * x\n"
            "if __name__ == '__main__':\n"
            "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
            "        print(pool.map(double, [21]))\n",
            0,
            "[42]",
        ),
    ],
)
def test_scripts_end_in_a_fork_as_they_do_elsewhere(
    warm_bench: tuple[Bench, LocalProcesses],
    request: pytest.FixtureRequest,
    text: str,
    exit_code: int,
    last_line: str | None,
) -> None:
    bench, executor = warm_bench
    name = f"ends-{abs(hash(request.node.name))}"
    job = bench.script(name, text)
    ended = bench.run(executor, job)
    lines = bench.lines(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == exit_code, lines
    if last_line is not None:
        assert lines[-1] == last_line


def test_a_traceback_shows_the_users_frames_only(
    warm_bench: tuple[Bench, LocalProcesses],
) -> None:
    bench, executor = warm_bench
    job = bench.script("frames", "def f():\n    raise KeyError('x')\nf()\n")
    bench.run(executor, job)
    lines = bench.lines(executor, job)
    begun = lines.index("Traceback (most recent call last):")
    assert [line for line in lines[begun:] if "File" in line] == [
        '  File "/opt/ml/code/train.py", line 3, in <module>',
        '  File "/opt/ml/code/train.py", line 2, in f',
    ]


def test_a_module_of_the_users_own_wins_over_a_loaded_one(
    warm_bench: tuple[Bench, LocalProcesses],
) -> None:
    bench, executor = warm_bench
    job = bench.script(
        "shadows", "import timm\nprint(timm.mine)\n", files={"timm/__init__.py": "mine = 'yes'\n"}
    )
    bench.run(executor, job)
    assert bench.lines(executor, job)[-1] == "yes"


def test_aws_clients_of_a_fork_go_to_clary(warm_bench: tuple[Bench, LocalProcesses]) -> None:
    bench, executor = warm_bench
    text = (
        "import boto3\n"
        "client = boto3.client('sts', endpoint_url='https://sts.us-east-1.amazonaws.com')\n"
        "try:\n    client.get_caller_identity()\n"
        "except Exception as error:\n    print(error)\n"
    )
    job = bench.script("redirected", text)
    to_clary = {
        "PYTHONPATH": str(SHIMS),
        "CLARY_ENDPOINT": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    job = replace(job, environment={**job.environment, **to_clary})
    bench.run(executor, job)
    assert "http://127.0.0.1:9" in bench.lines(executor, job)[-1]


def test_a_lost_parent_is_started_again(warm_bench: tuple[Bench, LocalProcesses]) -> None:
    bench, executor = warm_bench
    parents = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _is_parent_of_ours(entry)
    ]
    assert len(parents) == 1
    os.kill(parents[0], signal.SIGKILL)
    job = bench.script("meanwhile", "print('ran')\n")
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0
    assert bench.lines(executor, job).count("ran") == 1
    wait_until_warm(executor)
    job = bench.script("warm-again", "import sys\nprint('torch' in sys.modules)\n")
    bench.run(executor, job)
    assert bench.lines(executor, job)[-1] == "True"


def _is_parent_of_ours(entry: Path) -> bool:
    try:
        words = (entry / "cmdline").read_bytes().split(b"\0")
        parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return False
    return parent == os.getpid() and b"clary.jobs.warm_parent" in words


def test_the_parent_ends_with_the_service_and_its_hosts_do_not(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    store = ObjectStore(settings.buckets_dir)
    store.create_bucket(BUCKET)
    bench, executor = Bench(settings, store), LocalProcesses(settings, store)
    wait_until_warm(executor)
    job = bench.script("lives-on", "import time\nprint('up')\ntime.sleep(1)\nprint('done')\n")
    bench.begin(executor, job)
    bench.wait_for_line(executor, job, "up")
    executor.close()
    assert not executor.is_warm
    ended = bench.end(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0
    assert bench.lines(executor, job)[-1] == "done"
    store.close()


def test_a_replica_is_a_fork_too(warm_bench: tuple[Bench, LocalProcesses], tmp_path: Path) -> None:
    bench, executor = warm_bench
    replicas = executor.replicas
    folder = bench.settings.endpoints_dir / "e" / "1"
    prepared = replicas.preparation.prepare(colour_model(bench, tmp_path / "m"), folder / "models")
    home = {"CLARY_HOME": str(bench.settings.home)}
    replicas.start(ReplicaSpec("e", "v", "i-1", folder / "i-1", prepared, home))
    try:
        deadline = time.monotonic() + WARM_SECONDS
        port = None
        while port is None or not replicas.answers(port):
            seen = replicas.look(folder / "i-1")
            assert isinstance(seen, Alive), seen
            assert time.monotonic() < deadline
            port = seen.port
            time.sleep(0.02)
        process = replicas.process(folder / "i-1")
        assert "warm_parent" in Path(f"/proc/{process}/cmdline").read_text()
    finally:
        replicas.kill(folder / "i-1")
