"""The Authorization header and the scope in it, read before anybody is known: in one pass."""

from __future__ import annotations

import re

from clary.service.protocol.messages import HttpRequest

# What S3 takes in all headers together.
AUTHORIZATION_LIMIT_BYTES = 8192
_DAY = re.compile(r"\d{8}", re.ASCII)
_SERVICE = re.compile(r"[\w-]+", re.ASCII)


def authorization_parts(text: str) -> dict[str, str]:
    """The parts of a SigV4 header after its scheme, by name."""
    parts = (part.partition("=") for part in text.split(","))
    return {name.strip(): value.strip() for name, _, value in parts}


def scope_service(request: HttpRequest) -> str | None:
    """The service that a request was signed for; None when it is not signed with SigV4."""
    header = request.headers.get("authorization", "")
    credential = request.query_map.get("X-Amz-Credential", "")
    if header and len(header) <= AUTHORIZATION_LIMIT_BYTES:
        _, _, rest = header.strip().partition(" ")
        credential = authorization_parts(rest).get("Credential", credential)
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request" or not parts[0]:
        return None
    return parts[3] if _DAY.fullmatch(parts[1]) and _SERVICE.fullmatch(parts[3]) else None
