"""The errors that scripts catch and raise; what is raised sets the status of the answer."""

from clary.endpoint.handlers.failures import InferenceError as BaseInferenceToolkitError
from clary.endpoint.handlers.failures import UnsupportedFormat as UnsupportedFormatError
from clary.endpoint.handlers.toolkit_names import ClientError, GenericInferenceToolkitError

__all__ = [
    "BaseInferenceToolkitError",
    "ClientError",
    "GenericInferenceToolkitError",
    "UnsupportedFormatError",
]
