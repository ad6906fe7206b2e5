"""Between the state's milliseconds and the API's timestamps."""

from __future__ import annotations

from datetime import datetime, timezone


def timestamp(milliseconds: int) -> datetime:
    """An aware datetime in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, rounded down."""
    return int(moment.timestamp() * 1000 // 1)
