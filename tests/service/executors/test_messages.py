"""Messages are sent once: to a real web server and a real command, whoever is killed meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from clary.service.executors.executor import Message
from clary.service.executors.messages import NOWHERE, Messages
from clary.service.executors.surroundings import inherited_environment
from clary.settings import Settings
from tests.waiting import PATIENCE_S, until


class Hook:
    """A web server that keeps what it gets; `hold` keeps those waiting who ask."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.answer = 200
        self.hold = threading.Event()
        self.hold.set()
        self.asked = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                hook.asked.set()
                hook.hold.wait(PATIENCE_S)
                self.send_response(hook.answer)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/rules"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.hold.set()
    hook.server.shutdown()
    hook.server.server_close()


def message(folder: Path) -> Message:
    return Message(folder / "message", {"subject": "SMDebugRule:R fired", "message": "at 'step' 3"})


def sent(messages: Messages, one: Message) -> str:
    return until(lambda: messages.send(one))


def test_a_webhook_gets_it_once(tmp_path: Path, hook: Hook) -> None:
    messages = Messages(Settings(home=tmp_path, rule_webhook=hook.url))
    one = message(tmp_path)
    host = hook.url.removesuffix("/rules")
    assert sent(messages, one) == f"posted to {host}, which answered 200"
    # Whoever asks again hears the same.
    assert sent(Messages(Settings(home=tmp_path, rule_webhook=hook.url)), one).startswith("posted")
    assert hook.got == [dict(one.content)]


def test_a_service_that_is_gone_while_it_is_sent_changes_nothing(
    tmp_path: Path, hook: Hook
) -> None:
    hook.hold.clear()
    one = message(tmp_path)
    assert Messages(Settings(home=tmp_path, rule_webhook=hook.url)).send(one) is None
    assert hook.asked.wait(PATIENCE_S)
    later = Messages(Settings(home=tmp_path, rule_webhook=hook.url))
    assert later.send(one) is None
    hook.hold.set()
    assert sent(later, one).startswith("posted")
    assert len(hook.got) == 1


def test_a_sender_that_is_killed_does_not_send_twice(tmp_path: Path, hook: Hook) -> None:
    hook.hold.clear()
    one = message(tmp_path)
    messages = Messages(Settings(home=tmp_path, rule_webhook=hook.url))
    assert messages.send(one) is None
    assert hook.asked.wait(PATIENCE_S)
    (sender,) = [
        process
        for process in psutil.Process().children()
        if "clary.service.messenger" in process.cmdline()
    ]
    sender.kill()
    assert "it may not have arrived" in sent(messages, one)
    assert len(hook.got) == 1


@pytest.mark.parametrize(
    ("answer", "told"), [(500, "not taken by"), (204, "which answered 204")], ids=["500", "204"]
)
def test_what_the_webhook_answers_is_told(
    tmp_path: Path, hook: Hook, answer: int, told: str
) -> None:
    hook.answer = answer
    messages = Messages(Settings(home=tmp_path, rule_webhook=hook.url))
    assert told in sent(messages, message(tmp_path))


def test_a_command_gets_it(tmp_path: Path) -> None:
    command = f'cat > {tmp_path}/got; echo "$CLARY_SUBJECT|$CLARY_MESSAGE" > {tmp_path}/told'
    one = message(tmp_path)
    assert sent(Messages(Settings(home=tmp_path, rule_command=command)), one).startswith("given to")
    assert json.loads((tmp_path / "got").read_text()) == dict(one.content)
    assert (tmp_path / "told").read_text() == "SMDebugRule:R fired|at 'step' 3\n"


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    messages = Messages(Settings(home=tmp_path, rule_command="echo no mail here >&2; exit 3"))
    told = sent(messages, message(tmp_path))
    assert told.endswith("which ended with 3: no mail here")


def test_where_nobody_is_to_be_told_it_says_how(tmp_path: Path) -> None:
    assert Messages(Settings(home=tmp_path)).send(message(tmp_path)) == NOWHERE
    assert "CLARY_RULE_WEBHOOK" in NOWHERE


def test_secrets_are_neither_told_nor_kept(tmp_path: Path, hook: Hook) -> None:
    address = hook.url.removeprefix("http://")
    command = "cat > /dev/null; test tok3n"
    for number, url in enumerate(
        [
            f"http://{address}/tok3n?key=tok3n",
            f"http://me:tok3n@{address}",
            "http://127.0.0.1:1/tok3n",
            "tok3n",
            "http://127.0.0.1/tok3n with spaces",
        ]
    ):
        settings = Settings(home=tmp_path, rule_webhook=url, rule_command=command)
        folder = tmp_path / str(number)
        told = sent(Messages(settings), message(folder))
        assert "tok3n" not in told
        assert told.endswith("; given to CLARY_RULE_COMMAND")
        kept = [path for path in folder.rglob("*") if path.is_file()]
        assert len(kept) > 2
        assert not any("tok3n" in path.read_text() for path in kept)


def test_jobs_are_not_told_where_messages_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARY_RULE_WEBHOOK", "https://example.org/tok3n")
    monkeypatch.setenv("CLARY_RULE_COMMAND", "mail me")
    assert not any(name.startswith("CLARY_RULE_") for name in inherited_environment())
