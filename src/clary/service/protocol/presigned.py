"""Presigned URLs: what a client that cannot set headers gives as parameters of the query."""

from __future__ import annotations

from dataclasses import replace

from clary.service.protocol.messages import HttpRequest

_CONTENT_HEADERS = {"content-type", "content-md5"}
# They say who signed; `claims` and `signature_v2` read them where they stand.
_SIGNATURE_PARAMETERS = {
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
}


def is_signed_v2(request: HttpRequest) -> bool:
    """Whether a request is a presigned URL in the older scheme."""
    return "AWSAccessKeyId" in request.query_map and "Signature" in request.query_map


def is_presigned(request: HttpRequest) -> bool:
    """Whether the signature of a request stands in its query."""
    if not request.query_string or "authorization" in request.headers:
        return False
    return "X-Amz-Algorithm" in request.query_map or is_signed_v2(request)


def with_headers_of_query(request: HttpRequest) -> HttpRequest:
    """A presigned request as it would be with headers; any other as it is.

    All of the query is signed, so that its parameters are as good as signed headers. A header
    that is there as well counts.
    """
    if not is_presigned(request):
        return request
    found = {
        name.lower(): value.encode("utf-8").decode("latin-1")
        for name, value in request.query
        if _stands_for_header(name.lower())
    }
    return replace(request, headers={**found, **request.headers}) if found else request


def _stands_for_header(name: str) -> bool:
    return name in _CONTENT_HEADERS or (
        name.startswith("x-amz-") and name not in _SIGNATURE_PARAMETERS
    )
