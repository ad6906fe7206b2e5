"""Looks at Clary's service, its port, and whose AWS this shell talks to."""

from __future__ import annotations

import configparser
import getpass
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import requests

from clary import __version__
from clary.errors import FormatError
from clary.formats.service_record import ServiceRecord, service_is_alive
from clary.sdk.doctor.observation import Observation, Surroundings
from clary.sdk.office import HOST, port_is_free
from clary.settings import DEFAULT_PORT, Settings

_ANSWER_SECONDS = 5.0


def look_at_service(around: Surroundings) -> Iterator[Observation]:
    """Whether the service runs and answers, or could be started."""
    settings = around.settings
    try:
        record = ServiceRecord.read(settings)
        alive = record is not None or service_is_alive(settings)
    except (FormatError, OSError) as error:
        yield Observation(
            "service",
            str(error),
            "clients do not find it",
            "fault",
            "end it, remove that file and run `clary start`",
        )
        return
    if record is None:
        yield _starting(settings) if alive else _port(settings)
        return
    owner = _owner(record.pid)
    whose = "" if owner in {None, _user()} else f" of user {owner}"
    found = f"Clary {record.version} on {record.host}:{record.port} (process {record.pid}{whose})"
    if not _answers(record):
        yield Observation(
            "service",
            found,
            "does not answer",
            "fault",
            f"`clary stop` and `clary start`; {settings.service_log} says what it did",
        )
    elif record.version != __version__:
        yield Observation(
            "service",
            found,
            f"answers, but is not of this Clary's version, {__version__}",
            "warning",
            "`clary stop`: the next command starts one of this version, and jobs go on",
        )
    else:
        yield Observation("service", found, "runs and answers")


def look_at_aws(around: Surroundings) -> Iterator[Observation]:
    """Whose AWS the clients of this shell talk to, and what would keep them from Clary's."""
    environment = around.environment
    profile = environment.get("AWS_PROFILE")
    if profile and profile not in _profiles(environment):
        yield Observation(
            "aws profile",
            f"AWS_PROFILE is {profile}, which no file of AWS's configuration has",
            "boto3 and the AWS CLI refuse to start, with Clary's service, too",
            "warning",
            "unset AWS_PROFILE",
        )
    if environment.get("CLARY_ENDPOINT"):
        yield _taken(around)
        return
    elsewhere = sorted(name for name in environment if name.startswith("AWS_ENDPOINT_URL"))
    if elsewhere:
        yield Observation(
            "this shell's aws",
            f"{elsewhere[0]} is {environment[elsewhere[0]]}",
            "clients go there until `clary env` or `clary exec` names Clary's service",
            "note",
        )
        return
    keys = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE") if environment.get(name)]
    given = f"AWS itself, by {keys[0]}" if keys else "AWS itself, no keys in the environment"
    yield Observation(
        "this shell's aws", given, 'this machine\'s after `eval "$(clary env)"`, or by `clary exec`'
    )


def _taken(around: Surroundings) -> Observation:
    address = around.environment["CLARY_ENDPOINT"]
    try:
        record = ServiceRecord.read(around.settings)
    except (FormatError, OSError):
        record = None
    if record is not None and record.url == address:
        return Observation(
            "this shell's aws", address, "is this machine; `clary env --unset` gives AWS back"
        )
    now = "no service runs" if record is None else f"the service is on {record.url}"
    return Observation(
        "this shell's aws",
        f"{address}, but {now}",
        "clients of this shell find nobody",
        "warning",
        'eval "$(clary env)" again',
    )


def _port(settings: Settings) -> Observation:
    if port_is_free(HOST, settings.port):
        return Observation(
            "service",
            f"none runs, port {settings.port} is free",
            "starts by itself when it is needed",
        )
    taken = f"none runs, port {settings.port} is taken by {_listener(settings.port)}"
    if settings.port == DEFAULT_PORT:
        return Observation("service", taken, "starts on another port when it is needed", "note")
    return Observation(
        "service",
        taken,
        "cannot be started",
        "fault",
        "name a free port by CLARY_PORT, or leave it out for any",
    )


def _starting(settings: Settings) -> Observation:
    return Observation(
        "service",
        f"one starts or ends just now on {settings.home}",
        "answers in a moment",
        "note",
        "`clary status` in a few seconds",
    )


def _listener(port: int) -> str:
    try:
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
                return f"{psutil.Process(one.pid).name()} (process {one.pid})"
    except (psutil.Error, OSError):
        pass  # the system keeps to itself what other users' processes do
    return "another program"


def _owner(pid: int) -> str | None:
    try:
        return str(psutil.Process(pid).username())
    except psutil.Error:
        return None


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def _answers(record: ServiceRecord) -> bool:
    """Whether anything comes back; a refusal, for want of a signature, is an answer."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy leads to this machine
        try:
            session.get(record.url, timeout=_ANSWER_SECONDS)
        except requests.RequestException:
            return False
    return True


def _profiles(environment: Mapping[str, str]) -> set[str]:
    home = Path("~/.aws").expanduser()
    found = {"default"}
    for variable, name in (
        ("AWS_CONFIG_FILE", "config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(Path(environment.get(variable) or home / name).expanduser())
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        found |= {section.removeprefix("profile ").strip() for section in parser.sections()}
    return found
