"""Checksums that a request brings: in a header, in a trailer, or to be taken here."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clary.object_store.digests import ALGORITHMS, Digests
from clary.object_store.objects import Description
from clary.service.call import Call
from clary.service.faults import Fault
from clary.service.operations.s3.faults import invalid_request, not_implemented

_BYTES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}
# Known to botocore and not to Clary.
_OTHERS = ("SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128")
_PREFIX = "x-amz-checksum-"


@dataclass(frozen=True)
class Claim:
    """What a client says about the bytes it sends."""

    algorithm: str | None
    check: Callable[[Digests], None]

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Those to take."""
        return () if self.algorithm is None else (self.algorithm,)


def read_claim(call: Call, default: str | None = None) -> Claim:
    """What a call says about its body.

    Args:
        call: PutObject or UploadPart.
        default: the algorithm to take when it names none.

    Raises:
        Fault: a checksum that is none, two of them, or of a kind that Clary does not take.
    """
    named = given_checksums(call.parameters)
    trailer = _in_trailer(call)
    algorithms = [*named, *([trailer] if trailer else [])]
    if len(algorithms) > 1:
        raise invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    chosen = algorithms[0] if algorithms else check_algorithm(call.parameters) or default
    wanted_md5 = _md5(call.parameters.get("ContentMD5"))

    def check(digests: Digests) -> None:
        if wanted_md5 is not None and digests.md5 != wanted_md5:
            raise _bad_digest("Content-MD5", "did not match what we received")
        wanted = named.get(chosen or "")
        if trailer is not None and call.body is not None:
            wanted = call.body.trailers.get(_PREFIX + trailer.lower())
            if wanted is None:
                raise Fault(
                    "MalformedTrailerError",
                    "The request contained trailing data that "
                    "was not well-formed or did not conform to our published schema.",
                )
        if chosen is not None and wanted is not None:
            _check_form(chosen, wanted)
            if digests.checksums[chosen] != wanted:
                raise _bad_digest(chosen, "did not match the calculated checksum")

    return Claim(chosen, check)


def check_algorithm(parameters: Mapping[str, Any]) -> str | None:
    """The algorithm that a request names, if any.

    Raises:
        Fault: Clary does not take it.
    """
    algorithm = parameters.get("ChecksumAlgorithm")
    if algorithm is None:
        return None
    name = str(algorithm).upper()
    if name not in ALGORITHMS:
        raise _not_taken(name)
    return name


def given_checksums(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Algorithm → Base64 of the parameters `ChecksumCRC32` and so on.

    Raises:
        Fault: a value is no checksum, or of a kind that Clary does not take.
    """
    for name in _OTHERS:
        if parameters.get(f"Checksum{name}") is not None:
            raise _not_taken(name)
    given = {
        name: str(parameters[f"Checksum{name}"])
        for name in ALGORITHMS
        if parameters.get(f"Checksum{name}") is not None
    }
    for name, value in given.items():
        _check_form(name, value.partition("-")[0])
    return given


def checksum_members(description: Description, *, with_type: bool = True) -> dict[str, Any]:
    """`ChecksumCRC32` and so on, with `ChecksumType`, for an answer."""
    members: dict[str, Any] = {
        f"Checksum{name}": value for name, value in description.checksums.items()
    }
    if members and with_type:
        members["ChecksumType"] = description.checksum_type
    return members


def _in_trailer(call: Call) -> str | None:
    for word in call.headers.get("x-amz-trailer", "").lower().split(","):
        name = word.strip()
        if name.startswith(_PREFIX):
            algorithm = name.removeprefix(_PREFIX).upper()
            if algorithm not in ALGORITHMS:
                raise _not_taken(algorithm)
            return algorithm
    return None


def _check_form(algorithm: str, value: str) -> None:
    try:
        size = len(b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        size = -1
    if size != _BYTES[algorithm]:
        raise invalid_request(f"Value for {_PREFIX}{algorithm.lower()} header is invalid.")


def _md5(header: str | None) -> bytes | None:
    if header is None:
        return None
    try:
        digest = b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        raise Fault("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return digest


def _bad_digest(what: str, how: str) -> Fault:
    return Fault("BadDigest", f"The {what} you specified {how}.")


def _not_taken(algorithm: str) -> Fault:
    return not_implemented(
        f"{_PREFIX}{algorithm.lower()}",
        f"Clary takes {', '.join(ALGORITHMS)} as checksums, not {algorithm}",
    )
