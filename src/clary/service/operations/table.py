"""Every operation that Clary offers, by service and name."""

from __future__ import annotations

from collections.abc import Mapping

from clary.service.office import Handler
from clary.service.operations import iam, sts

OPERATIONS: Mapping[str, Mapping[str, Handler]] = {
    "sts": sts.OPERATIONS,
    "iam": iam.OPERATIONS,
}

# Those that may hold their answer back until a job changes.
PATIENT = frozenset({("sagemaker", "DescribeTrainingJob")})
