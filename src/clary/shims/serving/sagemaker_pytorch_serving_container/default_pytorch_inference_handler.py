"""The defaults of SageMaker's PyTorch container, as a class to derive from or to call."""

from clary.endpoint.handlers.pytorch import MODEL_FILE as DEFAULT_MODEL_FILENAME
from clary.endpoint.handlers.toolkit_names import DefaultPytorchInferenceHandler

__all__ = ["DEFAULT_MODEL_FILENAME", "DefaultPytorchInferenceHandler"]
