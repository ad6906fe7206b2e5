"""What is wrong with a data set, found all at once and before anything is trained."""

from clary.vision.checks.check import check_dataset, examine_dataset
from clary.vision.checks.examination import Examined

__all__ = ["Examined", "check_dataset", "examine_dataset"]
