"""The looks of `clary doctor`, at places, programs and servers that the tests make."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from clary import __version__
from clary.formats.service_record import ServiceRecord, lock_path, utc_now
from clary.sdk.cached_weights import cached_weights
from clary.sdk.doctor.machine import judge_cores, look_at_cores
from clary.sdk.doctor.networks import look_at_hub
from clary.sdk.doctor.observation import Observation, Surroundings, sized
from clary.sdk.doctor.packages import look_at_clients, wrong_packages
from clary.sdk.doctor.places import judge_room, look_at_home, look_at_leftovers
from clary.sdk.doctor.services import look_at_aws, look_at_service
from clary.settings import Settings

Serve = Callable[[float], str]


@pytest.fixture
def around(settings: Settings) -> Surroundings:
    return Surroundings(settings, {})


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A function that begins a server whose clock is some seconds off, and gives its address."""
    servers: list[HTTPServer] = []

    def begin(off_s: float) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response_only(404)
                self.send_header("Date", formatdate(time.time() - off_s, usegmt=True))
                self.end_headers()

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def one(found: Iterator[Observation]) -> Observation:
    (only,) = found
    return only


@pytest.mark.parametrize(
    ("free", "level"),
    [(10**8, "fault"), (10**9, "warning"), (10**10, "note"), (10**11, "ok")],
)
def test_how_much_room_is_enough(free: int, level: str) -> None:
    assert judge_room("here", free, cache=20 * 2**30).level == level


def test_sizes_are_for_people() -> None:
    sizes = [sized(count) for count in (0, 999, 1000, 2.5e8, 1e12, 1e16)]
    assert sizes == ["0 bytes", "999 bytes", "1.0 KB", "250 MB", "1.0 TB", "10000 TB"]


def test_a_home_is_looked_at_and_not_made(around: Surroundings, tmp_path: Path) -> None:
    assert "(not there yet)" in one(look_at_home(around)).found
    assert not around.settings.home.exists()
    around.settings.home.write_text("a file where the home should be")
    found = one(look_at_home(around))
    assert (found.level, found.remedy) == (
        "fault",
        "name a folder of yours: export CLARY_HOME=/path/to/a/folder",
    )
    below = Surroundings(Settings(home=around.settings.home / "below"), {})
    assert one(look_at_home(below)).level == "fault"


def test_a_killed_service_leaves_its_record(around: Surroundings) -> None:
    assert list(look_at_leftovers(around)) == []
    _record(around.settings, 1)
    assert "of a service that was killed" in one(look_at_leftovers(around)).found


def test_a_hub_that_is_reached_tells_the_time(around: Surroundings, serve: Serve) -> None:
    right = Surroundings(around.settings, {"HF_ENDPOINT": serve(0)})
    assert [seen.level for seen in look_at_hub(right)] == ["ok", "ok"]
    wrong = Surroundings(around.settings, {"HF_ENDPOINT": serve(3600)})
    clock = list(look_at_hub(wrong))[1]
    assert (clock.level, "about 60 minutes ahead" in clock.found) == ("warning", True)


def test_without_a_hub_the_default_network_must_be_there(
    around: Surroundings, tmp_path: Path
) -> None:
    environment = {
        "XDG_CACHE_HOME": str(tmp_path),
        "HF_ENDPOINT": f"http://127.0.0.1:{_free_port()}",
    }
    offline = Surroundings(around.settings, environment)
    weights = next(iter(look_at_hub(offline)))
    assert (weights.level, "no connection" in weights.found) == ("warning", True)
    snapshot = tmp_path / "huggingface/hub/models--timm--resnet50.a1_in1k/snapshots/1"
    checkpoints = tmp_path / "torch/hub/checkpoints"
    for folder in (snapshot, checkpoints):
        folder.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    (checkpoints / "resnet18d-1.pth").touch()
    assert next(iter(look_at_hub(offline))).level == "warning"
    (checkpoints / "resnet18-f37072fd.pth").touch()
    assert cached_weights(environment) == ["resnet18-f37072fd", "resnet18d-1", "resnet50.a1_in1k"]
    assert next(iter(look_at_hub(offline))).level == "note"
    told = Surroundings(around.settings, {**environment, "HF_HUB_OFFLINE": "1"})
    assert "HF_HUB_OFFLINE is set" in next(iter(look_at_hub(told))).found


def test_a_port_that_is_taken_keeps_the_service_from_starting(around: Surroundings) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        settings = around.settings.model_copy(update={"port": port})
        taken = one(look_at_service(Surroundings(settings, {})))
        assert (taken.level, f"port {port} is taken by" in taken.found) == ("fault", True)
        assert f"(process {os.getpid()})" in taken.found
    assert one(look_at_service(Surroundings(settings, {}))).level == "ok"


def test_a_service_that_runs_is_asked(around: Surroundings, serve: Serve) -> None:
    settings = around.settings
    port = int(serve(0).rpartition(":")[2])
    _record(settings, port)
    with lock_path(settings).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert one(look_at_service(around)).meaning == "runs and answers"
        mine = Surroundings(settings, {"CLARY_ENDPOINT": f"http://127.0.0.1:{port}"})
        assert one(look_at_aws(mine)).level == "ok"
        _record(settings, port, version="0.0.0")
        assert "not of this Clary's version" in one(look_at_service(around)).meaning
        _record(settings, _free_port())
        assert one(look_at_service(around)).level == "fault"
        settings.service_file.write_text("{")
        assert one(look_at_service(around)).level == "fault"


def test_whose_aws_a_shell_has(around: Surroundings, tmp_path: Path) -> None:
    def look(**environment: str) -> list[Observation]:
        files = {"AWS_CONFIG_FILE": "config", "AWS_SHARED_CREDENTIALS_FILE": "credentials"}
        places = {name: str(tmp_path / file) for name, file in files.items()}
        return list(look_at_aws(Surroundings(around.settings, {**places, **environment})))

    assert [seen.level for seen in look()] == ["ok"]
    stale = look(CLARY_ENDPOINT="http://127.0.0.1:1")
    assert (stale[0].level, stale[0].remedy) == ("warning", 'eval "$(clary env)" again')
    assert look(AWS_ENDPOINT_URL="http://127.0.0.1:4566")[0].level == "note"
    assert [seen.level for seen in look(AWS_PROFILE="work")] == ["warning", "ok"]
    (tmp_path / "config").write_text("[profile work]\nregion = eu-central-1\n")
    assert [seen.level for seen in look(AWS_PROFILE="work")] == ["ok"]


def test_requirements_that_are_not_met_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wrong_packages() == {}
    made = tmp_path / "made_up-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n"
        "Requires-Dist: nosuchpackage>=1\nRequires-Dist: pytest>=9999\n"
        "Requires-Dist: pytest>=1\nRequires-Dist: otherpackage; extra == 'more'\n"
        "Requires-Dist: never; python_version < '3'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    missing = "nosuchpackage is missing"
    assert wrong_packages(distribution="made-up") == {
        "nosuchpackage>=1": missing,
        "pytest>=9999": f"pytest is {pytest.__version__} but must be >=9999",
    }
    assert wrong_packages("more", "made-up") == {"otherpackage": "otherpackage is missing"}


def test_the_callers_python_is_asked(around: Surroundings, tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text(
        "#!/bin/sh\necho '"
        '{"python": "3.9.1", "packages": {"boto3": "1.2", "sagemaker": "2.3"}}'
        "'\n"
    )
    python.chmod(0o755)
    found = one(look_at_clients(Surroundings(around.settings, {"PATH": str(tmp_path)})))
    assert found.found == f"3.9.1 at {python} with boto3 1.2, sagemaker 2.3"
    python.write_text("#!/bin/sh\nexit 1\n")
    silent = one(look_at_clients(Surroundings(around.settings, {"PATH": str(tmp_path)})))
    assert (silent.level, silent.meaning) == ("note", "does not answer")


def test_cores_are_counted(around: Surroundings) -> None:
    assert one(look_at_cores(around)).found.startswith(str(len(os.sched_getaffinity(0))))


@pytest.mark.parametrize(
    ("allowed", "threads", "level", "told"),
    [
        (None, None, "ok", "trainings use them all"),
        (2.0, None, "ok", "trainings use 2 threads, "),
        (0.5, None, "ok", "trainings use 1 thread, "),
        (1.5, "2", "ok", "trainings use 2 threads"),
        (2.0, "1", "note", "OMP_NUM_THREADS=1 has trainings compute on 1 thread, "),
        (2.0, "64", "warning", "64 threads, which wait for each other"),
    ],
)
def test_a_container_uses_what_it_is_allowed(
    settings: Settings, allowed: float | None, threads: str | None, level: str, told: str
) -> None:
    environment = {} if threads is None else {"OMP_NUM_THREADS": threads}
    seen = judge_cores(64, allowed, Surroundings(settings, environment))
    assert (seen.level, told in seen.meaning) == (level, True)
    assert ("a control group allows" in seen.found) == (allowed is not None)


def test_a_home_in_memory_does_not_last(around: Surroundings) -> None:
    shared_memory = Path("/dev/shm")
    if not os.access(shared_memory, os.W_OK):
        pytest.skip("no file system in memory here")
    home = shared_memory / f"clary-{os.getpid()}"
    seen = list(look_at_home(Surroundings(around.settings.model_copy(update={"home": home}), {})))
    assert (seen[0].level, "gone when the machine starts anew" in seen[0].meaning) == ("note", True)
    assert not home.exists()


def _record(settings: Settings, port: int, version: str = __version__) -> None:
    settings.home.mkdir(exist_ok=True)
    ServiceRecord(
        version=version, pid=os.getpid(), host="127.0.0.1", port=port, started=utc_now()
    ).write(settings)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
