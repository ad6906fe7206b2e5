"""A replica as a process: it comes up, answers, survives its children, and ends well."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clary.formats.converted_model import ConvertedModel
from clary.formats.replica import Listening, ReplicaSettings
from tests.endpoint.colours import convert_colour_model, make_colour_model, picture_of
from tests.endpoint.served import Answer, Wire, ask, get, replica_settings
from tests.waiting import PATIENCE_S, until

HANDLERS = """
import os, time

def model_fn(model_dir):
    return os.getpid()

def input_fn(body, content_type):
    return body.decode()

def predict_fn(data, pid):
    if data.startswith("die"):
        os._exit(int(data.split()[1]))
    if data.startswith("sleep"):
        time.sleep(float(data.split()[1]))
    return {"pid": pid, "said": data}
"""


class Replica:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = (folder / "output").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "clary.jobs.serve", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "CLARY_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"},
        )

    @property
    def port(self) -> int:
        listening = Listening.read(self.folder)
        assert listening is not None
        return listening.port

    @property
    def log(self) -> str:
        return (self.folder / "output").read_text()

    @property
    def children(self) -> list[int]:
        """Its processes, the server first."""
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log
        try:
            return Listening.read(self.folder) is not None and get(self.port, "/ping").status == 200
        except OSError:
            return False

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.output.close()


@contextmanager
def started(folder: Path, settings: ReplicaSettings) -> Iterator[Replica]:
    settings.write(folder)
    replica = Replica(folder)
    try:
        until(replica.is_ready)
        yield replica
    finally:
        replica.end()


def pictures(folder: Path, **changes: Any) -> ReplicaSettings:
    model = make_colour_model(folder / "model")
    converted = convert_colour_model(ConvertedModel.of(model, folder / "cache"))
    told = {"model": str(model), "converted": str(converted), "workers": 2, **changes}
    return replica_settings(**told)


def script(folder: Path, **changes: Any) -> ReplicaSettings:
    code = folder / "model" / "code"
    code.mkdir(parents=True)
    (code / "inference.py").write_text(HANDLERS)
    told = {"kind": "script", "model": str(folder / "model"), "python": sys.executable, **changes}
    return replica_settings(**told)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def say(port: int, text: str) -> Answer:
    return ask(port, text.encode(), "content-type: text/plain", "accept: application/json")


class Load:
    """Clients that ask until they are told that it is over, and count what they get."""

    def __init__(self, port: int, body: bytes, clients: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._ends = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(port, body), daemon=True)
            for _ in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> Counter[str]:
        self._ends.set()
        for thread in self._threads:
            thread.join(60)
        return self.outcomes

    def _run(self, port: int, body: bytes) -> None:
        with Wire(port) as wire:
            while not self._ends.is_set():
                try:
                    wire.post(body)
                    answer = wire.answer()
                except OSError:
                    self.outcomes["cut"] += 1
                    return
                told = "not accepted" if "x-clary-not-accepted" in answer.headers else ""
                self.outcomes[f"{answer.status} {told}".strip()] += 1
                if answer.headers.get("connection") == "close":
                    return


def test_a_replica_answers_and_its_server_is_started_again(tmp_path: Path) -> None:
    with started(tmp_path, pictures(tmp_path)) as replica:
        port = replica.port
        assert ask(port, picture_of("red")).status == 200
        for _ in range(2):
            (server,) = replica.children
            idle = Wire(port)
            os.kill(server, signal.SIGKILL)
            until(lambda server=server: server not in replica.children)
            # Connections wait in the parent's socket.
            assert ask(port, picture_of("red")).status == 200
            until(replica.is_ready)
            assert replica.port == port
            assert replica.children != [server]
            idle.socket.close()
        assert ask(port, picture_of("red")).status == 200
        assert "was ended by SIGKILL; it is started again" in replica.log
        until(lambda: replica.log.count("POST /invocations 200") >= 2)


def test_a_signal_under_load_loses_no_answer(tmp_path: Path) -> None:
    with started(tmp_path, pictures(tmp_path)) as replica:
        children = replica.children
        load = Load(replica.port, picture_of("green", 300), 12)
        until(lambda: load.outcomes["200"] > 100)
        replica.process.send_signal(signal.SIGTERM)
        assert replica.process.wait(60) == 0
        outcomes = load.end()
        assert outcomes["cut"] == 0, outcomes
        assert set(outcomes) <= {"200", "503 not accepted", "cut"}
        assert not any(lives(child) for child in children)


def test_nothing_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    with started(tmp_path, script(tmp_path, workers=2)) as replica:
        children = replica.children
        assert len(children) == 3
        replica.process.kill()
        replica.process.wait()
        until(lambda: not any(lives(child) for child in children))


def test_a_worker_that_dies_is_replaced_and_its_request_is_answered(tmp_path: Path) -> None:
    with started(tmp_path, script(tmp_path, workers=1)) as replica:
        port = replica.port
        before = say(port, "hello").json
        assert before["said"] == "hello"
        for code in (3, 0):
            died = say(port, f"die {code}")
            assert died.status == 500
            assert died.json["message"]
            after = say(port, "again").json
            assert after["pid"] != before["pid"]
        os.kill(after["pid"], signal.SIGKILL)
        until(lambda: say(port, "once more").status == 200)


def test_workers_are_there_for_the_next_server(tmp_path: Path) -> None:
    with started(tmp_path, script(tmp_path, workers=1)) as replica:
        port = replica.port
        before = say(port, "hello").json["pid"]
        server = next(pid for pid in replica.children if pid != before)
        os.kill(server, signal.SIGKILL)
        until(lambda: server not in replica.children)
        until(replica.is_ready)
        assert say(port, "hello").status == 200


def test_a_script_is_waited_for_at_the_end(tmp_path: Path) -> None:
    with started(tmp_path, script(tmp_path, workers=2)) as replica:
        answers: list[Answer] = []
        threads = [
            threading.Thread(target=lambda: answers.append(say(replica.port, "sleep 1")))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        until(lambda: b"in_flight 4" in get(replica.port, "/metrics").body)
        replica.process.send_signal(signal.SIGINT)
        assert replica.process.wait(60) == 0
        for thread in threads:
            thread.join(60)
        assert [answer.status for answer in answers] == [200] * 4


def test_who_waits_for_a_server_that_will_not_come_is_told_so(tmp_path: Path) -> None:
    with started(tmp_path, pictures(tmp_path)) as replica:
        (server,) = replica.children
        replica.process.send_signal(signal.SIGSTOP)
        os.kill(server, signal.SIGKILL)
        until(lambda: len([*Path(f"/proc/{server}/task").iterdir()]) == 1 and not lives(server))
        wires = [Wire(replica.port) for _ in range(5)]
        for wire in wires:
            wire.post(b"x" * 100_000)
        replica.process.send_signal(signal.SIGTERM)
        replica.process.send_signal(signal.SIGCONT)
        for wire in wires:
            answer = wire.answer()
            assert (answer.status, answer.headers["x-clary-not-accepted"]) == (503, "stopping")
            wire.socket.close()
        assert replica.process.wait(60) == 0


def test_a_second_ctrl_c_waits_for_nobody(tmp_path: Path) -> None:
    with started(tmp_path, script(tmp_path, workers=1)) as replica:
        children = replica.children
        wire = Wire(replica.port)
        wire.post(b"sleep 50", "content-type: text/plain")
        until(lambda: b"in_flight 1" in get(replica.port, "/metrics").body)
        replica.process.send_signal(signal.SIGINT)
        until(lambda: get(replica.port, "/ping").status == 503)
        replica.process.send_signal(signal.SIGINT)
        assert replica.process.wait(60) == 130
        until(lambda: not any(lives(child) for child in children))
        wire.socket.close()


def test_a_replica_that_cannot_serve_ends_with_a_sentence(tmp_path: Path) -> None:
    settings = pictures(tmp_path, converted=str(tmp_path / "nothing"))
    settings.write(tmp_path)
    replica = Replica(tmp_path)
    assert replica.process.wait(60) == 1
    replica.end()
    assert "holds no converted network" in replica.log.splitlines()[-1]


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        pictures(tmp_path, port=other.getsockname()[1]).write(tmp_path)
        replica = Replica(tmp_path)
        assert replica.process.wait(60) == 1
        replica.end()
    assert "give another port" in replica.log


@pytest.mark.parametrize("content", [None, "{}", '{"version": 99}'])
def test_settings_that_are_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "replica.json").write_text(content)
    replica = Replica(tmp_path)
    assert replica.process.wait(60) == 1
    replica.end()
    assert "Traceback" not in replica.log


def test_a_replica_whose_server_never_comes_up_gives_up(tmp_path: Path) -> None:
    """Killed each time before it has served, as for want of memory."""
    settings = script(tmp_path, workers=1)
    (tmp_path / "model" / "code" / "inference.py").write_text("import time; time.sleep(300)")
    settings.write(tmp_path)
    replica = Replica(tmp_path)
    killed: set[int] = set()
    deadline = time.monotonic() + PATIENCE_S
    while replica.process.poll() is None and time.monotonic() < deadline:
        if Listening.read(tmp_path) is not None:
            for pid in replica.children:
                if _is_fork(pid) and pid not in killed:
                    killed.add(pid)
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    assert replica.process.returncode == 1
    replica.end()
    assert len(killed) >= 3
    assert replica.log.count("clary: server") == 2


def _is_fork(pid: int) -> bool:
    """The server is a fork of the parent, the workers here soon become other programs."""
    try:
        return b"clary.jobs.serve" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_workers_that_cannot_even_begin_end_the_start(tmp_path: Path) -> None:
    script(tmp_path, workers=1, python="/bin/false").write(tmp_path)
    replica = Replica(tmp_path)
    try:
        assert replica.process.wait(60) == 1
    finally:
        replica.end()
    assert "worker 1 ended with 1, 6 times before the model was loaded" in replica.log


def test_the_last_words_say_what_the_workers_died_of(tmp_path: Path) -> None:
    settings = script(tmp_path, workers=1)
    inference = tmp_path / "model" / "code" / "inference.py"
    inference.write_text("import os\n\ndef model_fn(model_dir):\n    os._exit(3)\n")
    settings.write(tmp_path)
    replica = Replica(tmp_path)
    try:
        assert replica.process.wait(60) == 1
    finally:
        replica.end()
    last = replica.log.strip().splitlines()[-1]
    assert "worker 1 ended with 3" in last
    assert "before the model was loaded" in last


def test_a_path_too_long_for_a_socket_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 25)
    long.mkdir()
    script(tmp_path, workers=1).write(long)
    monkeypatch.setenv("TMPDIR", str(long))
    replica = Replica(long)
    try:
        assert replica.process.wait(60) == 1
    finally:
        replica.end()
    assert "set TMPDIR to a folder with a short path" in replica.log
    assert "Traceback" not in replica.log
