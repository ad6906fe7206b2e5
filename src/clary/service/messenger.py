"""`python -m clary.service.messenger FOLDER`: sends one message, and says what became of it.

    stdin          {"webhook": URL or null, "command": text or null}
    message.json   {"content": {…}}
    sending        made before anything is sent: what follows is not done twice
    outcome.json   {"outcome": one sentence}

A webhook gets the content as JSON by POST. A command is run by the shell, with the content as JSON
on its standard input, and subject and message in CLARY_SUBJECT and CLARY_MESSAGE. Both may hold
secrets: of a webhook only scheme and host are told, of a command nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from clary.formats.files import read_json, write_json

MESSAGE_FILE = "message.json"
SENDING_FILE = "sending"
OUTCOME_FILE = "outcome.json"

_PATIENCE_S = 20.0
_TOLD_CHARACTERS = 200


def main(folder: Path, ways: Mapping[str, str | None]) -> int:
    """Send the message of a folder; 1 where it did not arrive.

    Args:
        folder: the message's own.
        ways: `webhook` and `command`, as far as there are any.

    Raises:
        FormatError: the folder holds no message.
        StorageError: the folder cannot be written.
    """
    content: dict[str, Any] = read_json(folder / MESSAGE_FILE)["content"]
    write_json(folder / SENDING_FILE, {"pid": os.getpid()})
    done = []
    if webhook := ways.get("webhook"):
        done.append(_post(webhook, content))
    if command := ways.get("command"):
        done.append(_run(command, content))
    write_json(folder / OUTCOME_FILE, {"outcome": "; ".join(told for _, told in done)})
    return 0 if all(arrived for arrived, _ in done) else 1


def _post(url: str, content: Mapping[str, Any]) -> tuple[bool, str]:
    body = json.dumps(content).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "clary"}
    try:
        host = _host_of(url)
        request = urllib.request.Request(url, body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
                return True, f"posted to {host}, which answered {answer.status}"
        except urllib.error.HTTPError as error:
            return False, f"not taken by {host}, which answered {error.code} {error.reason}"
        except OSError as error:
            return False, f"not posted to {host}: {error}"
    except (ValueError, HTTPException):
        # What the error says may hold the URL.
        return False, "not posted: CLARY_RULE_WEBHOOK is no URL that can be asked"


def _host_of(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"


def _run(command: str, content: Mapping[str, Any]) -> tuple[bool, str]:
    environment = {
        **os.environ,
        "CLARY_SUBJECT": str(content.get("subject", "")),
        "CLARY_MESSAGE": str(content.get("message", "")),
    }
    try:
        done = subprocess.run(
            command,
            shell=True,  # the owner of the machine wrote it, for a shell
            input=json.dumps(content).encode(),
            env=environment,
            timeout=_PATIENCE_S,
            capture_output=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"given to CLARY_RULE_COMMAND, which did not end within {_PATIENCE_S:.0f} s"
    if done.returncode == 0:
        return True, "given to CLARY_RULE_COMMAND"
    said = done.stderr.decode("utf-8", "replace").strip()[-_TOLD_CHARACTERS:]
    return False, f"given to CLARY_RULE_COMMAND, which ended with {done.returncode}: {said}"


if __name__ == "__main__":
    # Nothing comes when the service was killed meanwhile: the next one starts another process.
    told = sys.stdin.read()
    sys.exit(main(Path(sys.argv[1]), json.loads(told)) if told else 1)
