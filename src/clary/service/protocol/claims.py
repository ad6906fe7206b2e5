"""The signature that a request bears, before anybody believes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from clary.service.protocol import refusals
from clary.service.protocol.authorization import AUTHORIZATION_LIMIT_BYTES, authorization_parts
from clary.service.protocol.messages import HttpRequest
from clary.service.protocol.text_values import natural_number

ALGORITHM = "AWS4-HMAC-SHA256"
_WEEK_SECONDS = 7 * 24 * 3600
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_PRESIGNED = (
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)


@dataclass(frozen=True)
class Claims:
    """What a signature says about itself. `expires_seconds` is there when it came in a URL."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    token: str | None
    expires_seconds: int | None = None

    @property
    def scope(self) -> str:
        """The credential scope, as it is signed."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"

    @property
    def signed_at(self) -> datetime:
        """When it was signed."""
        return signing_time(self.timestamp)


def signing_time(timestamp: str) -> datetime:
    """Read a time as SigV4 writes it: `20250131T235959Z`.

    Raises:
        ValueError: there is no such time.
    """
    # Each request is read so; strptime takes twenty times as long.
    day, clock = timestamp[:8], timestamp[9:15]
    return datetime(
        int(day[:4]),
        int(day[4:6]),
        int(day[6:]),
        int(clock[:2]),
        int(clock[2:4]),
        int(clock[4:]),
        tzinfo=timezone.utc,
    )


def read_claims(request: HttpRequest, protocol: str) -> Claims:
    """Read the Authorization header or the parameters of a presigned URL.

    Raises:
        Fault: there is no signature, it is of another scheme, or it lacks a part.
    """
    header = request.headers.get("authorization")
    if header is not None:
        return _from_header(request, header.strip(), protocol)
    if "X-Amz-Algorithm" in request.query_map:
        return _from_query(request, protocol)
    raise refusals.unsigned(protocol)


def _from_header(request: HttpRequest, header: str, protocol: str) -> Claims:
    if len(header) > AUTHORIZATION_LIMIT_BYTES:
        raise refusals.incomplete(
            protocol,
            f"The Authorization header is longer than {AUTHORIZATION_LIMIT_BYTES} bytes.",
        )
    scheme, _, rest = header.partition(" ")
    if scheme != ALGORITHM:
        raise refusals.unsupported_scheme(protocol, scheme)
    parts = authorization_parts(rest)
    for name in ("Credential", "Signature", "SignedHeaders"):
        if not parts.get(name):
            raise refusals.incomplete(
                protocol, f"Authorization header requires '{name}' parameter."
            )
    timestamp = _header_timestamp(request)
    if timestamp is None:
        raise refusals.incomplete(
            protocol,
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        )
    return _claims(
        protocol,
        credential=parts["Credential"],
        signed_headers=parts["SignedHeaders"],
        signature=parts["Signature"],
        timestamp=timestamp,
        token=request.headers.get("x-amz-security-token"),
    )


def _from_query(request: HttpRequest, protocol: str) -> Claims:
    query = request.query_map
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise refusals.unsupported_scheme(protocol, query["X-Amz-Algorithm"])
    missing = [name for name in _PRESIGNED if not query.get(name)]
    if missing:
        raise refusals.incomplete_query(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, "
            "X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and "
            "X-Amz-Expires parameters."
        )
    expires = query["X-Amz-Expires"]
    seconds = natural_number(expires)
    if seconds is None or not 0 < seconds <= _WEEK_SECONDS:
        raise refusals.incomplete_query(
            "X-Amz-Expires must be a number from 1 to a week, in seconds; it is "
            f"{expires[:40]!r} (a week is {_WEEK_SECONDS})"
        )
    if not _is_timestamp(query["X-Amz-Date"]):
        raise refusals.incomplete_query(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        )
    return _claims(
        protocol,
        credential=query["X-Amz-Credential"],
        signed_headers=query["X-Amz-SignedHeaders"],
        signature=query["X-Amz-Signature"],
        timestamp=query["X-Amz-Date"],
        token=query.get("X-Amz-Security-Token"),
        expires_seconds=seconds,
    )


def _claims(
    protocol: str,
    *,
    credential: str,
    signed_headers: str,
    signature: str,
    timestamp: str,
    token: str | None,
    expires_seconds: int | None = None,
) -> Claims:
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request":
        raise refusals.incomplete(
            protocol,
            "Credential must have exactly 5 slash-delimited elements, e.g. "
            f"keyid/date/region/service/term, got '{credential}'",
        )
    access_key, date, region, service, _ = parts
    if timestamp[:8] != date:
        raise refusals.incomplete(
            protocol,
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
            f"from HTTP: '{date}' != '{timestamp[:8]}', from '{timestamp}'.",
        )
    names = tuple(signed_headers.lower().split(";"))
    if "host" not in names:
        raise refusals.incomplete(
            protocol, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        )
    return Claims(
        access_key=access_key,
        date=date,
        region=region,
        service=service,
        signed_headers=names,
        signature=signature,
        timestamp=timestamp,
        token=token,
        expires_seconds=expires_seconds,
    )


def _header_timestamp(request: HttpRequest) -> str | None:
    stamp = request.headers.get("x-amz-date")
    if stamp is not None:
        return stamp if _is_timestamp(stamp) else None
    try:
        moment = parsedate_to_datetime(request.headers["date"])
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    try:
        stamp = moment.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    except OverflowError:  # the first or last day that there is, in another zone
        return None
    return stamp if _is_timestamp(stamp) else None


def _is_timestamp(text: str) -> bool:
    if not _TIMESTAMP.fullmatch(text):
        return False
    try:
        signing_time(text)
    except ValueError:
        return False
    return True
