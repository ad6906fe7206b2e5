"""A reader who types what a page says: one shell for all of it, and an interpreter beside it."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

# What a command may take on a machine that is slow and busy.
PATIENCE_S = 400
LISTENING_S = 120
# How long something is looked at that only Ctrl-C ends.
LOOK_S = 4
# A reader's searches have many trials, and pictures of 224 pixels; fewer show the same.
TRIALS = 2
INPUT_SIDE = 96
_FOLLOWS = re.compile(r"\blogs\b.* (-f|--follow)\b")
# Ports that pages name, for which a free one is taken.
_PORTS = "8080|7799"
_INTERPRETER = """
import json, sys, traceback
names = {"__name__": "__main__"}
answers = open(int(sys.argv[1]), "w", buffering=1)
for line in sys.stdin:
    try:
        exec(compile(json.loads(line), "page", "exec"), names)
        answers.write(json.dumps("") + "\\n")
    except BaseException:
        answers.write(json.dumps(traceback.format_exc()) + "\\n")
"""


class Reader:
    """One page's reader. Closed when the page is done: what still runs is ended."""

    def __init__(self, folder: Path, environment: Mapping[str, str], notebook: Path) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.notebook = notebook
        self.port = _free_port()
        self._log = folder / "typed.log"
        self._shell = _Talk(["bash", "--norc", "--noprofile"], folder, environment, self._log)
        self._interpreters: dict[str, _Talk] = {}
        self._servers = 0
        self._began_s = time.monotonic()

    def types(self, command: str, exits: frozenset[int] = frozenset({0})) -> None:
        """Run one command line, and see how it ends."""
        line = self._cut_down(command)
        began = self._notes(f"$ {line}")
        if "--foreground" in line.split():
            self._serves(line)
            return
        if _FOLLOWS.search(line):
            line = f"timeout --preserve-status -s INT {LOOK_S} {line}"
            exits = frozenset({0, 130})
        answers = self._shell.answers
        self._shell.say(f"{{ {line}\n}} < /dev/null\necho $? >&{answers}")
        code = int(self._shell.hear(line))
        assert code in exits, f"$ {line}\nexit code {code}\n{self._since(began)}"

    def runs(self, code: str, interpreter: str) -> None:
        """Run Python code in the page's interpreter of that kind."""
        began = self._notes(">>> …")
        if interpreter not in self._interpreters:
            python = self.notebook if interpreter == "notebook" else Path(sys.executable)
            words = [sys.executable, "-m", "clary", "exec", "--", str(python)]
            if interpreter == "clary":
                words = [str(python)]
            self._interpreters[interpreter] = _Talk(
                words, self.folder, self.environment, self._log, program=_INTERPRETER
            )
        talk = self._interpreters[interpreter]
        talk.say(json.dumps(code))
        failed = json.loads(talk.hear(code))
        assert not failed, f"{code}\n{failed}\n{self._since(began)}"

    def close(self) -> None:
        """End what the page has left running: servers by Ctrl-C, then the shell."""
        for number in range(1, self._servers + 1):
            answers = self._shell.answers
            self._shell.say(f"kill -INT %{number}; wait %{number}; echo $? >&{answers}")
            assert int(self._shell.hear("Ctrl-C")) in {0, 130}
        for talk in (*self._interpreters.values(), self._shell):
            talk.close()

    def _cut_down(self, command: str) -> str:
        command = re.sub(rf"\b({_PORTS})\b", str(self.port), command)
        words = command.split()
        if words[:1] != ["clary"] or words[1] not in {"run", "train", "tune"}:
            return command
        resumes = "--resume" in words
        if words[1] != "train" and "--trials" in words:
            # A search that is gone on with has made some already.
            trials = 2 * TRIALS if resumes else TRIALS
            command = re.sub(r"--trials \d+", f"--trials {trials}", command)
        elif words[1] != "train" and not {"--resume", "--attach"} & set(words):
            command = f"{command} --trials {TRIALS}"
        if not {"--resume", "--attach", "--image-size"} & set(words):
            command = f"{command} --image-size {INPUT_SIDE}"
        return command

    def _serves(self, line: str) -> None:
        # Of a shell without job control, Ctrl-C does not reach what is in the background.
        self._shell.say(f"set -m; {line} < /dev/null &")
        self._servers += 1
        until = time.monotonic() + LISTENING_S
        while time.monotonic() < until:
            # 503 while the model is loaded.
            with suppress(OSError), urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=5):
                return
            time.sleep(0.2)
        raise AssertionError(f"$ {line}\nnobody answers on port {self.port}\n{self._since(0)}")

    def _notes(self, text: str) -> int:
        """Write into the log what comes next, and when; returns where its output begins."""
        with self._log.open("a") as file:
            file.write(f"{text}  # after {time.monotonic() - self._began_s:.1f} s\n")
        return self._log.stat().st_size

    def _since(self, place: int) -> str:
        with self._log.open("rb") as file:
            file.seek(place)
            return file.read().decode("utf-8", "replace")[-6000:]


class _Talk:
    """A process that is told something on its standard input, and answers with lines of a pipe."""

    def __init__(
        self,
        words: list[str],
        folder: Path,
        environment: Mapping[str, str],
        log: Path,
        program: str = "",
    ) -> None:
        self._heard, self.answers = os.pipe()
        if program:
            words = [*words, "-c", program, str(self.answers)]
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                words,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                pass_fds=(self.answers,),
                start_new_session=True,
            )
        os.close(self.answers)
        self._rest = b""

    def say(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode() + b"\n")
        self._process.stdin.flush()

    def hear(self, what: str) -> str:
        """The next line of its answers."""
        until = time.monotonic() + PATIENCE_S
        while b"\n" not in self._rest:
            if not select.select([self._heard], [], [], max(0.0, until - time.monotonic()))[0]:
                raise AssertionError(f"{what}\nhas not ended after {PATIENCE_S} s")
            more = os.read(self._heard, 65536)
            if not more:
                raise AssertionError(f"{what}\nhas ended the process that ran it")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        os.close(self._heard)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
