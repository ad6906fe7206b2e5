"""Steps of a long job, neighbours added up."""

from __future__ import annotations

import numpy as np

from clary.formats.timeline.reader import Records


def coarse_steps(records: Records, most: int) -> Records:
    """At most about so many records: neighbours of one mode added up.

    Args:
        records: `STEP_DTYPE`, in the order of their start.
        most: how many there may be; a change of the mode begins a new one all the same.
    """
    if len(records) <= most:
        return records
    width = -(-len(records) // most)
    changes = np.flatnonzero(np.diff(records["mode"])) + 1
    firsts = np.union1d(np.arange(0, len(records), width), changes)
    merged: Records = records[firsts].copy()
    for name in ("merged", "pictures", "seconds"):
        merged[name] = np.add.reduceat(records[name], firsts)
    merged["longest_s"] = np.maximum.reduceat(records["longest_s"], firsts)
    for name in ("phases_s", "device_s"):
        measured = np.add.reduceat(~np.isnan(records[name]), firsts, dtype=np.int64) > 0
        sums = np.add.reduceat(np.nan_to_num(records[name]), firsts)
        merged[name] = np.where(measured, sums, np.nan)
    return merged
