"""What `clary doctor` finds out: what this machine offers, and what that means for Clary.

from clary.sdk.doctor import examine
for one in examine().observations:
    print(one.level, one.name, one.found)
"""

from __future__ import annotations

from clary.sdk.doctor.examination import Examination, examine
from clary.sdk.doctor.observation import Observation

__all__ = ["Examination", "Observation", "examine"]
