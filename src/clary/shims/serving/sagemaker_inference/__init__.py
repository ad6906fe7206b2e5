"""What scripts take from SageMaker's inference toolkit: types, arrays, errors and defaults."""

import sys

from clary.endpoint.handlers import toolkit_names as utils

# No file of this house is called that.
sys.modules[f"{__name__}.utils"] = utils

__all__ = ["utils"]
