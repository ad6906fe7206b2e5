"""`python -m clary.service.messenger FOLDER`: sends one message, and says what became of it.

    message.json   {"webhook": URL or null, "command": text or null, "content": {…}}
    sending        made before anything is sent: what follows is not done twice
    outcome.json   {"outcome": one sentence}

A webhook gets the content as JSON by POST. A command is run by the shell, with the content as JSON
on its standard input, and subject and message in CLARY_SUBJECT and CLARY_MESSAGE.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.formats.files import read_json, write_json

MESSAGE_FILE = "message.json"
SENDING_FILE = "sending"
OUTCOME_FILE = "outcome.json"

_PATIENCE_S = 20.0
_TOLD_CHARACTERS = 200


def main(folder: Path) -> int:
    """Send the message of a folder; 1 where it did not arrive.

    Raises:
        FormatError: the folder holds no message.
        StorageError: the folder cannot be written.
    """
    message = read_json(folder / MESSAGE_FILE)
    content: dict[str, Any] = message["content"]
    write_json(folder / SENDING_FILE, {"pid": os.getpid()})
    ways = []
    if message["webhook"]:
        ways.append(_post(message["webhook"], content))
    if message["command"]:
        ways.append(_run(message["command"], content))
    write_json(folder / OUTCOME_FILE, {"outcome": "; ".join(told for _, told in ways)})
    return 0 if all(arrived for arrived, _ in ways) else 1


def _post(url: str, content: Mapping[str, Any]) -> tuple[bool, str]:
    body = json.dumps(content).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "clary"}
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
            return True, f"posted to {url}, which answered {answer.status}"
    except urllib.error.HTTPError as error:
        return False, f"not taken by {url}, which answered {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return False, f"not posted to {url}: {error}"


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
        return False, f"given to {command!r}, which did not end within {_PATIENCE_S:.0f} s"
    if done.returncode == 0:
        return True, f"given to {command!r}"
    said = done.stderr.decode("utf-8", "replace").strip()[-_TOLD_CHARACTERS:]
    return False, f"given to {command!r}, which ended with {done.returncode}: {said}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
