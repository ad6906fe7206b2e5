"""Requests that are not let in, worded as each service of AWS words it."""

from __future__ import annotations

from clary.service.faults import Fault
from clary.service.protocol.routing import QUERY, REST_JSON, REST_XML

SKEW_SECONDS = 15 * 60


def unsigned(protocol: str) -> Fault:
    """There is no signature at all."""
    if protocol == REST_XML:
        return Fault("AccessDenied", "Access Denied", 403)
    if protocol == QUERY:
        message = "Request is missing Authentication Token"
        return Fault("MissingAuthenticationToken", message, 403)
    status = 403 if protocol == REST_JSON else 400
    return Fault("MissingAuthenticationTokenException", "Missing Authentication Token", status)


def incomplete(protocol: str, message: str) -> Fault:
    """The signature is there and lacks a part."""
    if protocol == REST_XML:
        return Fault("AuthorizationHeaderMalformed", message, 400)
    if protocol == QUERY:
        return Fault("IncompleteSignature", message, 403)
    return Fault("IncompleteSignatureException", message, 400)


def incomplete_query(message: str) -> Fault:
    """A presigned URL of S3 lacks a part."""
    return Fault("AuthorizationQueryParametersError", message, 400)


def unsupported_scheme(protocol: str, scheme: str) -> Fault:
    """Signed in a way that is not verified here."""
    message = (
        "The authorization mechanism you have provided is not supported. "
        "Please use AWS4-HMAC-SHA256."
    )
    if protocol == REST_XML:
        return Fault("InvalidRequest", message, 400)
    return incomplete(protocol, f"Unsupported AWS 'algorithm': '{scheme}'.")


def unknown_key(protocol: str, access_key: str) -> Fault:
    """Nobody holds this access key."""
    if protocol == REST_XML:
        message = "The AWS Access Key Id you provided does not exist in our records."
        return Fault("InvalidAccessKeyId", message, 403, members={"AWSAccessKeyId": access_key})
    message = "The security token included in the request is invalid"
    if protocol == QUERY:
        return Fault("InvalidClientTokenId", f"{message}.", 403)
    return Fault("UnrecognizedClientException", f"{message}.", 400)


def invalid_token(protocol: str) -> Fault:
    """Temporary credentials whose session token is not theirs."""
    if protocol == REST_XML:
        return Fault("InvalidToken", "The provided token is malformed or otherwise invalid.", 400)
    return unknown_key(protocol, "")


def expired_token(protocol: str) -> Fault:
    """Temporary credentials after their time."""
    message = "The security token included in the request is expired"
    if protocol == REST_XML:
        return Fault("ExpiredToken", "The provided token has expired.", 400)
    if protocol == QUERY:
        return Fault("ExpiredToken", message, 403)
    return Fault("ExpiredTokenException", message, 400)


def wrong_signature(protocol: str, access_key: str, string_to_sign: str) -> Fault:
    """The signature is another than the secret key gives."""
    if protocol == REST_XML:
        return Fault(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            403,
            members={"AWSAccessKeyId": access_key, "StringToSign": string_to_sign},
        )
    message = (
        "The request signature we calculated does not match the signature you provided. Check "
        "your AWS Secret Access Key and signing method. Consult the service documentation for "
        "details."
    )
    if protocol == QUERY:
        return Fault("SignatureDoesNotMatch", message, 403)
    return Fault("InvalidSignatureException", message, 400)


def wrong_scope(protocol: str, wanted: str) -> Fault:
    """Signed for another service."""
    message = f"Credential should be scoped to correct service: '{wanted}'."
    if protocol == REST_XML:
        return Fault("AuthorizationHeaderMalformed", message, 400)
    if protocol == QUERY:
        return Fault("SignatureDoesNotMatch", message, 403)
    return Fault("InvalidSignatureException", message, 400)


def skewed(protocol: str, signed: str, now: str, *, late: bool) -> Fault:
    """Signed too long ago, or in the future. Times are as SigV4 writes them."""
    if protocol == REST_XML:
        return Fault(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            403,
            members={
                "RequestTime": signed,
                "ServerTime": now,
                "MaxAllowedSkewMilliseconds": SKEW_SECONDS * 1000,
            },
        )
    if late:
        message = f"Signature expired: {signed} is now earlier than {now} - 15 min."
    else:
        message = f"Signature not yet current: {signed} is still later than {now} + 15 min."
    if protocol == QUERY:
        return Fault("SignatureDoesNotMatch", message, 403)
    return Fault("InvalidSignatureException", message, 400)


def expired_url(expires: str, now: str) -> Fault:
    """A presigned URL after its time."""
    members = {"Expires": expires, "ServerTime": now}
    return Fault("AccessDenied", "Request has expired", 403, members=members)


def header_not_signed(names: str) -> Fault:
    """S3 takes `x-amz-` headers only when the signature covers them."""
    return Fault(
        "AccessDenied",
        "There were headers present in the request which were not signed",
        403,
        members={"HeadersNotSigned": names},
    )


def wrong_payload_hash() -> Fault:
    """What came is not what was signed."""
    return Fault(
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
        400,
    )
