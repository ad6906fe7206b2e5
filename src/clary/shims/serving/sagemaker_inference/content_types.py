"""The content types that the toolkit names."""

from clary.endpoint.accept_header import ANYTHING as ANY
from clary.endpoint.handlers.payloads import CSV, JSON, NPY, NPZ, OCTET_STREAM, UTF8_TYPES

__all__ = ["ANY", "CSV", "JSON", "NPY", "NPZ", "OCTET_STREAM", "UTF8_TYPES"]
