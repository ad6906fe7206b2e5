"""STS: who one is, and temporary credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clary.service.call import Call
from clary.service.faults import Fault
from clary.service.keys import ACCOUNT, TemporaryCredentials
from clary.service.office import Handler, Office

HOUR_SECONDS = 3600
DEFAULT_SESSION_SECONDS = 12 * HOUR_SECONDS
_ROLE = re.compile(r"arn:aws[\w-]*:iam::(?P<account>\d{12}):role/(?:[\w+=,.@/-]*/)?(?P<name>[^/]+)")


def get_caller_identity(office: Office, call: Call) -> Mapping[str, Any]:
    """Whose key the request was signed with."""
    arn = call.caller_arn
    role, _, session = arn.rpartition(":")[2].removeprefix("assumed-role/").partition("/")
    account = arn.split(":")[4]
    return {"UserId": f"{role_id(role)}:{session}", "Account": account, "Arn": arn}


def assume_role(office: Office, call: Call) -> Mapping[str, Any]:
    """Temporary credentials that act as a role; a role of any well-formed name exists."""
    arn, session = call.parameters["RoleArn"], call.parameters["RoleSessionName"]
    role = _ROLE.fullmatch(arn)
    if role is None:
        raise Fault("ValidationError", f"{arn} is invalid")
    name = role["name"]
    caller = f"arn:aws:sts::{role['account']}:assumed-role/{name}/{session}"
    seconds = call.parameters.get("DurationSeconds", HOUR_SECONDS)
    return {
        "Credentials": _credentials(office.keys.issue(caller, seconds)),
        "AssumedRoleUser": {"AssumedRoleId": f"{role_id(name)}:{session}", "Arn": caller},
    }


def get_session_token(office: Office, call: Call) -> Mapping[str, Any]:
    """Temporary credentials of the caller."""
    seconds = call.parameters.get("DurationSeconds", DEFAULT_SESSION_SECONDS)
    return {"Credentials": _credentials(office.keys.issue(call.caller_arn, seconds))}


def get_access_key_info(office: Office, call: Call) -> Mapping[str, Any]:
    """The account of an access key."""
    return {"Account": ACCOUNT}


def role_id(name: str) -> str:
    """The unique id of a role: 21 characters that begin with AROA, the same each time."""
    letters = re.sub(r"[^A-Z0-9]", "", name.upper())
    return f"AROA{letters:X<17}"[:21]


def _credentials(issued: TemporaryCredentials) -> Mapping[str, Any]:
    return {
        "AccessKeyId": issued.access_key,
        "SecretAccessKey": issued.secret_key,
        "SessionToken": issued.session_token,
        "Expiration": issued.expiration,
    }


OPERATIONS: dict[str, Handler] = {
    "GetCallerIdentity": get_caller_identity,
    "AssumeRole": assume_role,
    "GetSessionToken": get_session_token,
    "GetAccessKeyInfo": get_access_key_info,
}
