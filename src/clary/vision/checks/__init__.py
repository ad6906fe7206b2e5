"""What is wrong with a data set, found all at once and before anything is trained."""

from clary.vision.checks.check import check_dataset

__all__ = ["check_dataset"]
