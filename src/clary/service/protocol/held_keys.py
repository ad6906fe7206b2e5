"""The key that a request names, or AWS's words for why it is not held."""

from __future__ import annotations

from clary.service.keys import ExpiredToken, InvalidToken, Key, KeyRing, UnknownKey
from clary.service.protocol import refusals


def held_key(keys: KeyRing, access_key: str, token: str | None, protocol: str) -> Key:
    """Find the key that a request names.

    Raises:
        Fault: there is no such key, or its session token is not valid.
    """
    try:
        return keys.find(access_key, token)
    except UnknownKey as error:
        raise refusals.unknown_key(protocol, access_key) from error
    except InvalidToken as error:
        raise refusals.invalid_token(protocol) from error
    except ExpiredToken as error:
        raise refusals.expired_token(protocol) from error
