"""Values as scripts and notebooks give them: truth in words, moments in several units."""

from __future__ import annotations

from datetime import datetime, timezone
from enum import Enum

from clary.debugger.parameters import flag
from clary.errors import UsageError


def str2bool(v: str | bool) -> bool:
    """A truth value: `y yes t true on 1`, or `n no f false off 0`.

    Raises:
        ValueError: it is none.
    """
    shortened = {"y": "yes", "t": "true", "n": "no", "f": "false"}
    try:
        return flag("the value", shortened.get(str(v).strip().lower(), v))
    except UsageError as error:
        raise ValueError(str(error)) from error


class TimeUnits(Enum):
    """In what a moment since 1970 is given."""

    SECONDS = 1
    MILLISECONDS = 2
    MICROSECONDS = 3
    NANOSECONDS = 4


_NANOSECONDS = {
    TimeUnits.SECONDS: 1_000_000_000,
    TimeUnits.MILLISECONDS: 1_000_000,
    TimeUnits.MICROSECONDS: 1_000,
    TimeUnits.NANOSECONDS: 1,
}


def convert_utc_timestamp_to_nanoseconds(
    timestamp: float, unit: TimeUnits = TimeUnits.MICROSECONDS
) -> int:
    """A moment in whole nanoseconds since 1970."""
    return _whole(timestamp, _NANOSECONDS[unit])


def convert_utc_timestamp_to_microseconds(
    timestamp: float, unit: TimeUnits = TimeUnits.MICROSECONDS
) -> int:
    """A moment in whole microseconds since 1970."""
    if unit is TimeUnits.NANOSECONDS:
        return int(timestamp) // 1000
    return _whole(timestamp, _NANOSECONDS[unit] // 1000)


def convert_utc_timestamp_to_seconds(
    timestamp: float, unit: TimeUnits = TimeUnits.MICROSECONDS
) -> float:
    """A moment in seconds since 1970."""
    return timestamp * _NANOSECONDS[unit] / 1e9


def convert_utc_datetime_to_nanoseconds(timestamp_datetime: datetime) -> int:
    """A moment in whole nanoseconds since 1970."""
    return convert_utc_datetime_to_microseconds(timestamp_datetime) * 1000


def convert_utc_datetime_to_microseconds(timestamp_datetime: datetime) -> int:
    """A moment in whole microseconds since 1970; without a time zone it is taken for local."""
    return round(timestamp_datetime.timestamp() * 1_000_000)


def us_since_epoch_to_human_readable_time(us_since_epoch: float) -> str:
    """Such as `2024-12-08T05:48:39:508406`, in UTC."""
    seconds, microseconds = divmod(int(us_since_epoch), 1_000_000)
    # Two parts: a float of both has not enough digits.
    moment = datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=microseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S:%f")


def ns_since_epoch_to_human_readable_time(ns_since_epoch: float) -> str:
    """Such as `2024-12-08T05:48:39:508406`, in UTC."""
    return us_since_epoch_to_human_readable_time(int(ns_since_epoch) // 1000)


def _whole(timestamp: float, factor: int) -> int:
    """Integers stay exact: a float of so many nanoseconds is off by some hundred."""
    return timestamp * factor if isinstance(timestamp, int) else round(timestamp * factor)
