"""Arrays from bodies; never from pickles, which the toolkit itself would load."""

from clary.endpoint.handlers.payloads import WRITTEN, decode

SUPPORTED_CONTENT_TYPES = set(WRITTEN)

__all__ = ["SUPPORTED_CONTENT_TYPES", "decode"]
