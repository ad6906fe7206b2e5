"""Clary: the SageMaker workflow for image classification on your own machine.

Importing this package is cheap and loads no torch; `clary.vision` loads what it needs when a
name of it is first used.
"""

__version__ = "0.1.0"
