"""The table of the machine: how much of each resource was used, in quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clary.jobs.profile_report.resources import QUANTILES, Resource


@dataclass(frozen=True)
class UsageRow:
    """A resource of a host: texts for `QUANTILES`, and the numbers to sort by."""

    host: str
    label: str
    cells: tuple[tuple[str, float], ...]


def usage_rows(measured: Sequence[Resource]) -> tuple[UsageRow, ...]:
    """A row for each resource."""
    return tuple(
        UsageRow(
            host=one.host,
            label=one.label,
            cells=tuple(
                (one.text(value), value)
                for value in (one.quantile(share) for _, share in QUANTILES)
            ),
        )
        for one in measured
    )
