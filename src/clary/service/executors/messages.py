"""The service's end of messages: each is sent by a process of its own, `clary.service.messenger`.

The process outlives a service that is killed while it sends; a new one finds what it has done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress

from clary.errors import ClaryError
from clary.formats.files import read_json, storage_errors, write_text
from clary.formats.launch import HostFiles
from clary.service.executors.executor import Message
from clary.service.executors.surroundings import inherited_environment
from clary.service.messenger import MESSAGE_FILE, OUTCOME_FILE, SENDING_FILE
from clary.settings import Settings

NOWHERE = (
    "not sent: set CLARY_RULE_WEBHOOK to a URL that takes JSON, or CLARY_RULE_COMMAND to a command "
    "that reads JSON, and start the service again"
)
_STARTS_LIMIT = 3


class Messages:
    """Sends messages, each once. Thread-safe for different messages."""

    def __init__(self, settings: Settings) -> None:
        self._webhook = settings.rule_webhook
        self._command = settings.rule_command
        self._lock = threading.Lock()
        self._started_here: list[subprocess.Popen[bytes]] = []

    def send(self, message: Message) -> str | None:
        """Send a message that was not sent yet; what became of it, None while it is under way.

        Raises:
            ClaryError: no process can be started for it.
            StorageError: its folder cannot be written.
        """
        if self._webhook is None and self._command is None:
            return NOWHERE
        with self._lock:
            self._started_here = [one for one in self._started_here if one.poll() is None]
        folder = message.folder
        files = HostFiles(folder)
        if files.is_held():
            return None
        outcome = folder / OUTCOME_FILE
        if outcome.exists():
            return str(read_json(outcome)["outcome"])
        if (folder / SENDING_FILE).exists():
            return "its process was killed while it sent it: it may not have arrived"
        starts = folder / ".starts"
        if starts.exists() and len(starts.read_text()) >= _STARTS_LIMIT:
            return f"not sent: its process ended {_STARTS_LIMIT} times before it could"
        write_text(folder / MESSAGE_FILE, json.dumps({"content": dict(message.content)}) + "\n")
        with storage_errors(starts), starts.open("a") as file:
            file.write(".")
        self._start(files)
        return None

    def _start(self, files: HostFiles) -> None:
        ways = json.dumps({"webhook": self._webhook, "command": self._command}).encode()
        lock = files.hold()
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "clary.service.messenger", str(files.root)],
                pass_fds=[lock],
                env={**inherited_environment(), "PYTHONSAFEPATH": "1"},
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise ClaryError(f"no process can be started to send a message: {error}") from error
        finally:
            os.close(lock)
        with self._lock:
            self._started_here.append(process)
        assert process.stdin is not None
        # URLs of webhooks are secrets: they are told through a pipe, and lie in no file.
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(ways)
