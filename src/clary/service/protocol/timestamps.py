"""Points in time as the protocols write them."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import format_datetime, parsedate_to_datetime

UNIX = "unixTimestamp"
ISO8601 = "iso8601"
RFC822 = "rfc822"


def parse_timestamp(value: object) -> datetime:
    """Read a time in any of the three forms.

    Raises:
        ValueError: it is in none of them, or beyond what a date can hold.
    """
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, tz=timezone.utc)
        if isinstance(value, str):
            return _parse_text(value)
    except (OverflowError, OSError, TypeError, IndexError) as error:
        raise ValueError(f"{value!r} is no time") from error
    raise ValueError(f"{value!r} is no time")


def _parse_text(text: str) -> datetime:
    text = text.strip()
    try:
        return datetime.fromtimestamp(float(text), tz=timezone.utc)
    except ValueError:
        pass
    try:
        # The first digits of a second are what Python before 3.11 reads: three or six of them.
        moment = datetime.fromisoformat(_six_digits(text.replace("Z", "+00:00")))
    except ValueError:
        moment = parsedate_to_datetime(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _six_digits(text: str) -> str:
    before, point, after = text.partition(".")
    if not point:
        return text
    digits = len(after) - len(after.lstrip("0123456789"))
    return f"{before}.{after[:digits][:6]:0<6}{after[digits:]}"


def format_timestamp(value: object, form: str) -> str | int | float:
    """Write a time: a datetime (a naive one is UTC), or seconds since 1970.

    Raises:
        ValueError: it is no time.
    """
    moment = parse_timestamp(value).astimezone(timezone.utc)
    if form.lower() == UNIX.lower():
        seconds = round(moment.timestamp(), 3)
        return int(seconds) if seconds.is_integer() else seconds
    if form == RFC822:
        return format_datetime(moment.replace(microsecond=0), usegmt=True)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
