"""CloudWatch Logs: groups and streams, and putting events into them."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary import clock
from clary.formats.files import storage_errors
from clary.formats.log_file import encode_events, read_events, read_events_before
from clary.service.call import Call
from clary.service.faults import Fault, log_resource_exists, log_resource_not_found
from clary.service.office import Handler, Office
from clary.service.operations.pages import page
from clary.service.state.log_streams import LogGroup, LogStream

PAGE_SIZE = 50
# CloudWatch takes events from the last fourteen days to two hours ahead.
_OLDEST_MS = 14 * 86_400_000
_NEWEST_MS = 2 * 3_600_000


def create_log_group(office: Office, call: Call) -> Mapping[str, Any]:
    """Make a group."""
    asked = call.parameters
    for name, plain in (
        ("kmsKeyId", None),
        ("logGroupClass", "STANDARD"),
        ("deletionProtectionEnabled", False),
        ("tags", None),
    ):
        if asked.get(name, plain) != plain:
            raise invalid(f"{name} is not offered by Clary: create the log group without it.")
    if not office.state.logs.add_group(asked["logGroupName"], clock.now_ms()):
        raise log_resource_exists("log group")
    return {}


def describe_log_groups(office: Office, call: Call) -> Mapping[str, Any]:
    """Show groups by name."""
    asked = call.parameters
    if "logGroupNamePrefix" in asked and "logGroupNamePattern" in asked:
        raise invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive.")
    groups = office.state.logs.groups(
        asked.get("logGroupNamePrefix", ""), asked.get("logGroupNamePattern", "")
    )
    size = asked.get("limit", PAGE_SIZE)
    try:
        chosen, token = page(groups, lambda group: [group.name], asked.get("nextToken"), size)
    except ValueError as error:
        raise invalid("The specified nextToken is invalid.") from error
    answer: dict[str, Any] = {"logGroups": [_shown_group(office, group) for group in chosen]}
    return answer if token is None else {**answer, "nextToken": token}


def delete_log_group(office: Office, call: Call) -> Mapping[str, Any]:
    """Forget a group and its streams; the folders of jobs keep their logs."""
    streams = office.state.logs.remove_group(call.parameters["logGroupName"])
    if streams is None:
        raise log_resource_not_found("log group")
    for stream in streams:
        _remove_file(office, stream)
    return {}


def put_retention_policy(office: Office, call: Call) -> Mapping[str, Any]:
    """Note how long a group keeps its events. Clary keeps them longer: until they are deleted."""
    asked = call.parameters
    if not office.state.logs.set_retention(asked["logGroupName"], asked["retentionInDays"]):
        raise log_resource_not_found("log group")
    return {}


def create_log_stream(office: Office, call: Call) -> Mapping[str, Any]:
    """Make a stream."""
    group, name = call.parameters["logGroupName"], call.parameters["logStreamName"]
    if not office.state.logs.has_group(group):
        raise log_resource_not_found("log group")
    path = _own_folder(office) / _file_name(group, name)
    if not office.state.logs.add_stream(LogStream(group, name, path, clock.now_ms())):
        raise log_resource_exists("log stream")
    with storage_errors(path):
        path.unlink(missing_ok=True)
    return {}


def describe_log_streams(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the streams of a group, by name or by their last event."""
    asked = call.parameters
    group = group_of(call)
    if not office.state.logs.has_group(group):
        raise log_resource_not_found("log group")
    by_time = asked.get("orderBy", "LogStreamName") == "LastEventTime"
    prefix = asked.get("logStreamNamePrefix", "")
    if by_time and prefix:
        raise invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    places: dict[str, tuple[Any, ...]] = {}
    streams = office.state.logs.streams(group, prefix)
    for stream in streams:
        last_ms = _last_event_ms(stream) if by_time else 0
        places[stream.name] = (last_ms, stream.name)
    descending = bool(asked.get("descending"))
    streams.sort(key=lambda stream: places[stream.name], reverse=descending)
    try:
        chosen, token = page(
            streams,
            lambda stream: places[stream.name],
            asked.get("nextToken"),
            asked.get("limit", PAGE_SIZE),
            descending=descending,
        )
    except ValueError as error:
        raise invalid("The specified nextToken is invalid.") from error
    answer: dict[str, Any] = {"logStreams": [_shown_stream(office, stream) for stream in chosen]}
    return answer if token is None else {**answer, "nextToken": token}


def delete_log_stream(office: Office, call: Call) -> Mapping[str, Any]:
    """Forget a stream; the folder of a job keeps its log."""
    group, name = call.parameters["logGroupName"], call.parameters["logStreamName"]
    if not office.state.logs.has_group(group):
        raise log_resource_not_found("log group")
    stream = office.state.logs.remove_stream(group, name)
    if stream is None:
        raise log_resource_not_found("log stream")
    _remove_file(office, stream)
    return {}


def put_log_events(office: Office, call: Call) -> Mapping[str, Any]:
    """Append events to a stream."""
    stream = stream_of(office, call)
    if not is_own(office, stream):
        raise invalid(f"The stream {stream.name} is written by its job: create one of your own.")
    events = call.parameters["logEvents"]
    times = [event["timestamp"] for event in events]
    if times != sorted(times):
        raise invalid("Log events in a single PutLogEvents request must be in chronological order.")
    now = clock.now_ms()
    old = sum(at < now - _OLDEST_MS for at in times)
    new = sum(at > now + _NEWEST_MS for at in times)
    accepted = events[old : len(events) - new]
    with storage_errors(stream.path):
        stream.path.parent.mkdir(parents=True, exist_ok=True)
        with stream.path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(encode_events((one["timestamp"], one["message"]) for one in accepted))
    answer: dict[str, Any] = {"nextSequenceToken": str(now)}
    if old:
        answer.setdefault("rejectedLogEventsInfo", {})["tooOldLogEventEndIndex"] = old
    if new:
        rejected = answer.setdefault("rejectedLogEventsInfo", {})
        rejected["tooNewLogEventStartIndex"] = len(events) - new
    return answer


def group_of(call: Call) -> str:
    """The group that a request names, by its name or its ARN.

    Raises:
        Fault: it names none, or two.
    """
    name, identifier = (
        call.parameters.get("logGroupName"),
        call.parameters.get("logGroupIdentifier"),
    )
    if (name is None) == (identifier is None):
        raise invalid("Exactly one of logGroupName and logGroupIdentifier must be set.")
    text = str(name or identifier)
    return text.split(":log-group:", 1)[-1].removesuffix(":*") if name is None else text


def stream_of(office: Office, call: Call) -> LogStream:
    """The stream that a request names.

    Raises:
        Fault: there is no such group or stream.
    """
    group = group_of(call)
    stream = office.state.logs.stream(group, call.parameters["logStreamName"])
    if stream is None:
        known = office.state.logs.has_group(group)
        raise log_resource_not_found("log stream" if known else "log group")
    return stream


def is_own(office: Office, stream: LogStream) -> bool:
    """Whether a client made the stream, and not a job."""
    return stream.path.parent == _own_folder(office)


def invalid(message: str) -> Fault:
    """A request that CloudWatch Logs refuses."""
    return Fault("InvalidParameterException", message)


def _shown_group(office: Office, group: LogGroup) -> dict[str, Any]:
    arn = office.arn(f"log-group:{group.name}", "logs")
    streams = office.state.logs.streams(group.name)
    shown: dict[str, Any] = {
        "logGroupName": group.name,
        "creationTime": group.created_ms,
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "logGroupClass": "STANDARD",
        "storedBytes": sum(_size(stream.path) for stream in streams),
    }
    if group.retention_days is not None:
        shown["retentionInDays"] = group.retention_days
    return shown


def _shown_stream(office: Office, stream: LogStream) -> dict[str, Any]:
    resource = f"log-group:{stream.group}:log-stream:{stream.name}"
    shown: dict[str, Any] = {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "arn": office.arn(resource, "logs"),
        "storedBytes": 0,
        "uploadSequenceToken": str(stream.created_ms),
    }
    first, last = read_events(stream.path, limit=1), read_events_before(stream.path, limit=1)
    if first and last:
        shown["firstEventTimestamp"] = first[0].timestamp_ms
        shown["lastEventTimestamp"] = last[-1].timestamp_ms
        shown["lastIngestionTime"] = last[-1].timestamp_ms
    return shown


def _last_event_ms(stream: LogStream) -> int:
    last = read_events_before(stream.path, limit=1)
    return last[-1].timestamp_ms if last else 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _own_folder(office: Office) -> Path:
    """Holds the streams that clients made; those of jobs lie in the jobs' folders."""
    return office.settings.home / "logs"


def _file_name(group: str, name: str) -> str:
    return hashlib.sha256(f"{group}\n{name}".encode()).hexdigest() + ".log"


def _remove_file(office: Office, stream: LogStream) -> None:
    if is_own(office, stream):
        with storage_errors(stream.path):
            stream.path.unlink(missing_ok=True)


OPERATIONS: dict[str, Handler] = {
    "CreateLogGroup": create_log_group,
    "DescribeLogGroups": describe_log_groups,
    "DeleteLogGroup": delete_log_group,
    "PutRetentionPolicy": put_retention_policy,
    "CreateLogStream": create_log_stream,
    "DescribeLogStreams": describe_log_streams,
    "DeleteLogStream": delete_log_stream,
    "PutLogEvents": put_log_events,
}
