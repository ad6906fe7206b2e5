"""Presigned URLs of S3 in the older scheme, which boto3 still makes unless told otherwise.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html
"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime, timezone

from clary.service.keys import KeyRing
from clary.service.protocol import refusals
from clary.service.protocol.canonical import collapsed
from clary.service.protocol.held_keys import held_key
from clary.service.protocol.messages import HttpRequest
from clary.service.protocol.routing import REST_XML, s3_path
from clary.service.protocol.text_values import natural_number

# Parameters of the query that are part of what is signed.
_SIGNED_PARAMETERS = {
    "accelerate",
    "acl",
    "cors",
    "defaultObjectAcl",
    "delete",
    "lifecycle",
    "location",
    "logging",
    "notification",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
}


def verify_v2(request: HttpRequest, keys: KeyRing, now: datetime) -> str:
    """Check a presigned URL; whose it is.

    Raises:
        Fault: signed wrongly, by an unknown key, or after its time.
    """
    query = request.query_map
    expires = query.get("Expires", "")
    seconds = natural_number(expires)
    if seconds is None:
        raise refusals.incomplete_query(
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId "
            "parameters"
        )
    access_key = query["AWSAccessKeyId"]
    token = query.get("x-amz-security-token") or request.headers.get("x-amz-security-token")
    key = held_key(keys, access_key, token, REST_XML)
    if seconds < now.timestamp():
        until = datetime.fromtimestamp(seconds, tz=timezone.utc)
        raise refusals.expired_url(f"{until:%Y-%m-%dT%H:%M:%SZ}", f"{now:%Y-%m-%dT%H:%M:%SZ}")
    text = _string_to_sign(request, expires)
    digest = hmac.digest(key.secret.encode(), text.encode("latin-1", "replace"), "sha1")
    if not hmac.compare_digest(base64.b64encode(digest), query["Signature"].encode()):
        raise refusals.wrong_signature(REST_XML, access_key, text)
    return key.caller_arn


def _string_to_sign(request: HttpRequest, expires: str) -> str:
    # A client that cannot set headers gives them as parameters; they count the same.
    given = {name.lower(): value for name, value in request.query} | dict(request.headers)
    amazon = "".join(
        f"{name}:{collapsed(value)}\n"
        for name, value in sorted(given.items())
        if name.startswith("x-amz-")
    )
    plain = "\n".join(given.get(name, "") for name in ("content-md5", "content-type"))
    parameters = sorted(
        f"{name}={value}" if value else name
        for name, value in request.query
        if name in _SIGNED_PARAMETERS
    )
    resource = s3_path(request) + ("?" + "&".join(parameters) if parameters else "")
    return f"{request.method}\n{plain}\n{expires}\n{amazon}{resource}"
