"""What CloudWatch Logs keeps of something that runs, read line by line as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clary.errors import UsageError
from clary.sdk.session import Session, spoken_faults

# Hosts begin at different moments, and each has a stream of its own.
STREAM_SECONDS = 2.0


@dataclass(frozen=True)
class LogLine:
    """A line of a log. `host` is such as `algo-1`, `at` an aware time."""

    host: str
    at: datetime
    message: str


def last_of(lines: Iterable[LogLine], count: int) -> list[LogLine]:
    """The last lines of a log by their time, those of each host in their order.

    Raises:
        UsageError: the count is negative.
    """
    if count < 0:
        raise UsageError(f"--lines is {count} but must be 0 or more")
    known = sorted(lines, key=lambda line: line.at)
    return known[max(0, len(known) - count) :]


class LogTail:
    """Reads the log streams of a group from where it stopped the last time. For one thread.

    Args:
        session: of the account.
        group: the log group.
        prefix: what the names of the streams begin with.
        host_of: from a stream's name to the host that it belongs to.
    """

    def __init__(
        self,
        session: Session,
        group: str,
        prefix: str = "",
        *,
        host_of: Callable[[str], str] = str,
    ) -> None:
        self._session = session
        self._group = group
        self._prefix = prefix
        self._host_of = host_of
        self._tokens: dict[str, str | None] = {}
        self._searched = -STREAM_SECONDS

    def new_lines(self) -> Iterator[LogLine]:
        """What has come since the last call, each stream's lines in their order.

        Raises:
            ServiceError: the service refuses or does not answer.
        """
        logs = self._session.client("logs")
        with spoken_faults():
            if not self._tokens or time.monotonic() - self._searched > STREAM_SECONDS:
                self._searched = time.monotonic()
                with suppress(logs.exceptions.ResourceNotFoundException):
                    self._find_streams(logs)
            for stream, token in self._tokens.items():
                yield from self._read(logs, stream, token)

    def _find_streams(self, logs: Any) -> None:
        named = {"logStreamNamePrefix": self._prefix} if self._prefix else {}
        pages = logs.get_paginator("describe_log_streams").paginate(
            logGroupName=self._group, **named
        )
        for page in pages:
            for stream in page["logStreams"]:
                self._tokens.setdefault(stream["logStreamName"], None)

    def _read(self, logs: Any, stream: str, token: str | None) -> Iterator[LogLine]:
        host = self._host_of(stream)
        while True:
            where = {"nextToken": token} if token else {}
            try:
                answer = logs.get_log_events(
                    logGroupName=self._group, logStreamName=stream, startFromHead=True, **where
                )
            except logs.exceptions.ResourceNotFoundException:
                return  # what it belonged to has been deleted meanwhile, and its log with it
            for event in answer["events"]:
                moment = datetime.fromtimestamp(event["timestamp"] / 1000).astimezone()
                yield LogLine(host, moment, event["message"])
            following = answer["nextForwardToken"]
            self._tokens[stream] = following
            if following == token or not answer["events"]:
                return
            token = following
