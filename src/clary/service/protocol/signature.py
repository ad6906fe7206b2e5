"""Who sent a request: SigV4 in headers and in presigned URLs.

The region of the scope is taken as the client gives it: notebooks name the regions of their
authors, and there is one machine.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from clary.service.faults import Fault
from clary.service.keys import KeyRing
from clary.service.protocol import refusals
from clary.service.protocol.canonical import (
    canonical_request,
    signature,
    signing_key,
    string_to_sign,
)
from clary.service.protocol.claims import Claims, read_claims
from clary.service.protocol.held_keys import held_key
from clary.service.protocol.messages import HttpRequest
from clary.service.protocol.models import SERVICES
from clary.service.protocol.presigned import is_signed_v2
from clary.service.protocol.routing import REST_XML, Route
from clary.service.protocol.signature_v2 import verify_v2

UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-"
_SKEW = timedelta(seconds=refusals.SKEW_SECONDS)


@dataclass(frozen=True)
class ChunkSigning:
    """What the signatures of an upload's chunks start from."""

    key: bytes
    timestamp: str
    scope: str
    seed: str


@dataclass(frozen=True)
class Verified:
    """A request whose signature is right.

    `payload_hash` is what was signed in place of the body: its SHA-256 in hex, or a word.
    """

    caller_arn: str
    payload_hash: str
    chunks: ChunkSigning | None = None


def verify(
    request: HttpRequest,
    route: Route,
    keys: KeyRing,
    now: Callable[[], datetime] = lambda: datetime.now(tz=timezone.utc),
) -> Verified:
    """Check who sent a request. The body of one that does not stream is checked with it.

    Raises:
        Fault: unsigned, signed wrongly, by an unknown key, too early or too late.
    """
    if route.protocol == REST_XML and is_signed_v2(request):
        return Verified(verify_v2(request, keys, now()), UNSIGNED)
    claims = read_claims(request, route.protocol)
    wanted = SERVICES[route.service].signing_name
    if claims.service != wanted:
        raise refusals.wrong_scope(route.protocol, wanted)
    key = held_key(keys, claims.access_key, claims.token, route.protocol)
    _check_time(claims, route, now())
    if route.protocol == REST_XML:
        _check_signed_headers(request, claims)
    payload_hash = _payload_hash(request, route, claims)
    canonical = canonical_request(
        request, claims.signed_headers, payload_hash, s3=route.protocol == REST_XML
    )
    text = string_to_sign(claims.timestamp, claims.scope, canonical)
    secret = signing_key(key.secret, claims.date, claims.region, claims.service)
    if not hmac.compare_digest(signature(secret, text).encode(), claims.signature.encode()):
        raise refusals.wrong_signature(route.protocol, claims.access_key, text)
    chunks = None
    if payload_hash.startswith(STREAMING):
        chunks = ChunkSigning(secret, claims.timestamp, claims.scope, claims.signature)
    return Verified(key.caller_arn, payload_hash, chunks)


def _check_time(claims: Claims, route: Route, now: datetime) -> None:
    signed = claims.signed_at
    if signed > now + _SKEW:
        raise refusals.skewed(route.protocol, claims.timestamp, _stamp(now), late=False)
    if claims.expires_seconds is not None:
        until = signed + timedelta(seconds=claims.expires_seconds)
        if now > until:
            raise refusals.expired_url(f"{until:%Y-%m-%dT%H:%M:%SZ}", f"{now:%Y-%m-%dT%H:%M:%SZ}")
    elif now > signed + _SKEW:
        raise refusals.skewed(route.protocol, claims.timestamp, _stamp(now), late=True)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%SZ}"


def _check_signed_headers(request: HttpRequest, claims: Claims) -> None:
    unsigned = [
        name
        for name in request.headers
        if name.startswith("x-amz-")
        and name not in claims.signed_headers
        and name != "x-amz-content-sha256"
    ]
    if unsigned:
        raise refusals.header_not_signed(", ".join(sorted(unsigned)))


def _payload_hash(request: HttpRequest, route: Route, claims: Claims) -> str:
    given = request.headers.get("x-amz-content-sha256")
    if given is None and claims.expires_seconds is not None:
        given = request.query_map.get("X-Amz-Content-Sha256") or (
            UNSIGNED if route.protocol == REST_XML else None
        )
    if given is None and route.protocol == REST_XML:
        raise Fault(
            "InvalidRequest",
            "Missing required header for this request: x-amz-content-sha256",
            400,
        )
    if route.streams or given == UNSIGNED or (given or "").startswith(STREAMING):
        return given or UNSIGNED
    computed = hashlib.sha256(request.body).hexdigest()
    if given is not None and given.lower() != computed and route.protocol == REST_XML:
        raise refusals.wrong_payload_hash()
    return computed
