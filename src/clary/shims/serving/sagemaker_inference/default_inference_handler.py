"""The defaults that know no framework: a base for people's own."""

from clary.endpoint.handlers.toolkit_names import DefaultInferenceHandler

__all__ = ["DefaultInferenceHandler"]
