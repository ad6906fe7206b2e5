"""A private /opt/ml by every way that this system allows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from clary.formats.launch import Launch, Mount
from clary.jobs.host.namespace import allowed_isolation
from clary.service.executors.executor import Ended
from tests.service.executors.conftest import Bench, MakeExecutor, channel

LOOKS = """
import os, socket
print(open(os.environ["SM_CHANNEL_TRAINING"] + "/a").read(), socket.gethostbyname("algo-1"))
open("/opt/ml/model/mine", "w").write("x")
try:
    open("/opt/ml/input/data/training/new", "w")
except OSError as error:
    print(error.strerror)
"""
AS_NOBODY = """
import ctypes, os, sys
from pathlib import Path
from clary.formats.launch import Launch
from clary.jobs.host.namespace import enter
os.setgid(65534)
os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as after an exec: /proc/self is the user's
refused = enter(Launch.read(Path(sys.argv[1])))
Path("/opt/ml/model/mine").write_text("x")
print(os.getuid(), sorted(os.listdir("/opt/ml")))
try:
    Path("/opt/ml/input/data/training/new").write_text("x")
except OSError as error:
    print(error.strerror)
print(refused or Path("/opt/ml/input/data/written/object").write_text("after"))
"""


@pytest.mark.parametrize("isolation", ["namespace", "bubblewrap"])
def test_opt_ml_is_the_jobs_own(bench: Bench, make_executor: MakeExecutor, isolation: str) -> None:
    if isolation == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    executor = make_executor(warm=False, isolation=isolation)
    bench.put("data/a", "content")
    source = channel("training", "s3://bench/data/", InputMode="FastFile")
    job = bench.script("looks", LOOKS, InputDataConfig=[source])
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0, bench.lines(executor, job)
    assert bench.lines(executor, job)[-2:] == ["content 127.0.0.1", "Read-only file system"]
    assert (job.directory.model / "mine").exists()
    assert not Path("/opt/ml/model/mine").exists()


def test_somebody_who_is_not_root_has_one_by_a_user_namespace(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the other tests of this file run as an ordinary user already")
    home = Path("/tmp") / f"clary-nobody-{os.getpid()}"
    root, bucket = home / "job", home / "bucket"
    changes = root / ".changes" / "written"
    seen = [root / "input/data" / name for name in ("training", "written")]
    for folder in (root / "model", *seen, bucket, changes / "upper", changes / "work"):
        folder.mkdir(parents=True)
    (bucket / "object").write_text("before")
    try:
        launch = Launch(
            job="j",
            host="algo-1",
            root=str(root),
            base="/opt/ml",
            log=str(root / "log"),
            isolation="namespace",
            command=("true",),
            working_directory="/",
            environment={},
            token="t",
            mounts=(
                Mount(str(bucket), "/opt/ml/input/data/training"),
                Mount(str(bucket), "/opt/ml/input/data/written", str(changes)),
            ),
        )
        (root / "launch.json").write_text(_as_json(launch))
        for path in (home, *home.rglob("*")):
            os.chown(path, 65534, 65534)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(root / "launch.json")],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        if "no mount namespace" in done.stderr or "Permission denied" in done.stderr:
            pytest.skip(f"not allowed here: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0].startswith("65534 ['")
        assert done.stdout.splitlines()[1] == "Read-only file system"
        assert (root / "model" / "mine").exists()
        said = done.stdout.splitlines()[2]
        assert said == "5" or "no overlay is possible" in said
        assert (bucket / "object").read_text() == "before"
    finally:
        shutil.rmtree(home)


def test_what_is_allowed_is_found_by_trying() -> None:
    assert allowed_isolation() in {"namespace", "bubblewrap", "none"}


def _as_json(launch: Launch) -> str:
    return json.dumps(asdict(launch))


@pytest.mark.parametrize("isolation", ["bubblewrap", "none"])
def test_sigterm_reaches_the_script_in_any_of_them(
    bench: Bench, make_executor: MakeExecutor, isolation: str
) -> None:
    if isolation == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    executor = make_executor(warm=False, isolation=isolation)
    text = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('up', flush=True)\ntime.sleep(600)\n"
    )
    job = bench.script("heeds", text)
    bench.begin(executor, job)
    bench.wait_for_line(executor, job, "up")
    executor.terminate(job)
    ended = bench.end(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 5
