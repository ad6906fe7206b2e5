"""Networks that are ready to answer: uint8 crops in, probabilities out."""

from clary.endpoint.runtimes.opening import open_runtime
from clary.endpoint.runtimes.runtime import Runtime, Stream

__all__ = ["Runtime", "Stream", "open_runtime"]
