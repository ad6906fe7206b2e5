"""Who may ask: the key of the home, and the temporary ones that STS gives out under it.

Temporary credentials are not stored. The session token says whose they are and until when, under
an HMAC of the home's secret, and their secret key follows from the token; so they hold across
restarts and end with the home's key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import string
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from clary.formats.credentials import Credentials

ACCOUNT = "000000000000"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/ClaryRole"
# What get_execution_role makes the role's ARN from: it must be an assumed role's.
CALLER_ARN = f"arn:aws:sts::{ACCOUNT}:assumed-role/ClaryRole/clary"


@dataclass(frozen=True)
class Key:
    """A secret and whose it is."""

    secret: str
    caller_arn: str


@dataclass(frozen=True)
class TemporaryCredentials:
    """What STS gives out."""

    access_key: str
    secret_key: str
    session_token: str
    expiration: datetime


class UnknownKey(Exception):
    """No such access key."""


class InvalidToken(Exception):
    """The session token is missing, damaged, or of other credentials."""


class ExpiredToken(Exception):
    """The session token was valid once."""


class KeyRing:
    """The keys of one home. Safe from any thread: nothing changes."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def find(self, access_key: str, session_token: str | None) -> Key:
        """The key that a request was signed with.

        Raises:
            UnknownKey: nobody holds the access key.
            InvalidToken: temporary credentials without their own token.
            ExpiredToken: their time is over.
        """
        if hmac.compare_digest(access_key.encode(), self._credentials.access_key.encode()):
            return Key(self._credentials.secret_key, CALLER_ARN)
        if not access_key.startswith("ASIA"):
            raise UnknownKey(access_key)
        claims = self._claims(session_token or "")
        if claims["key"] != access_key:
            raise InvalidToken
        if claims["until"] <= time.time():
            raise ExpiredToken
        return Key(self._secret(session_token or ""), claims["caller"])

    def issue(self, caller_arn: str, seconds: int) -> TemporaryCredentials:
        """Make temporary credentials that act as `caller_arn` for so long."""
        letters = string.ascii_uppercase + "234567"
        access_key = "ASIA" + "".join(secrets.choice(letters) for _ in range(16))
        until = int(time.time()) + seconds
        claims = json.dumps({"key": access_key, "caller": caller_arn, "until": until}).encode()
        token = base64.b64encode(self._digest(b"token", claims) + claims).decode()
        expiration = datetime.fromtimestamp(until, tz=timezone.utc)
        return TemporaryCredentials(access_key, self._secret(token), token, expiration)

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            data = base64.b64decode(token, validate=True)
        except (ValueError, binascii.Error) as error:
            raise InvalidToken from error
        digest, claims = data[:32], data[32:]
        if not hmac.compare_digest(digest, self._digest(b"token", claims)):
            raise InvalidToken
        found: dict[str, Any] = json.loads(claims)
        return found

    def _secret(self, token: str) -> str:
        return base64.b64encode(self._digest(b"secret", token.encode())[:30]).decode()

    def _digest(self, purpose: bytes, message: bytes) -> bytes:
        key = self._credentials.secret_key.encode()
        return hmac.new(key, purpose + b"\0" + message, hashlib.sha256).digest()
