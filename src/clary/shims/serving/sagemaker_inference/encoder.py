"""Bodies from arrays."""

from clary.endpoint.handlers.payloads import WRITTEN, encode

SUPPORTED_CONTENT_TYPES = set(WRITTEN)

__all__ = ["SUPPORTED_CONTENT_TYPES", "encode"]
