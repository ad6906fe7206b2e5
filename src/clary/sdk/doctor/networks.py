"""Looks at where pretrained weights come from: the hub, its cache, and the clock that it needs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests

import clary
from clary.formats.training_options import TrainingOptions
from clary.sdk.cached_weights import are_of, cached_weights
from clary.sdk.doctor.observation import Observation, Surroundings

HUB = "https://huggingface.co"
CONNECT_SECONDS = 3.0
# AWS refuses signatures that are further off, and certificates seem not valid yet.
_CLOCK_SECONDS = 300
_YES = {"1", "TRUE", "YES", "ON"}
_SHOWN = 4


def look_at_hub(around: Surroundings) -> Iterator[Observation]:
    """Whether weights can be fetched, which are there already, and whether the clock is right."""
    environment = around.environment
    cached = cached_weights(environment)
    date, reason = _ask_hub(environment)
    yield _weights(cached, reason)
    yield from _clock(date)


def _weights(cached: list[str], reason: str | None) -> Observation:
    default = str(TrainingOptions.model_fields["model"].default)
    shown = ", ".join(cached[:_SHOWN])
    if len(cached) > _SHOWN:
        shown += f" and {len(cached) - _SHOWN} more"
    have = f"{shown} in the cache" if cached else "no weights in the cache"
    if reason is None:
        return Observation(
            "weights", f"hub reachable; {have}", "networks that are named are fetched when needed"
        )
    if any(are_of(name, default) for name in cached):
        return Observation(
            "weights",
            f"hub not reachable ({reason}); {have}",
            "these networks can be named, others need --weights FILE",
            "note",
        )
    return Observation(
        "weights",
        f"hub not reachable ({reason}); {have}",
        f"`clary train` begins with {default}, whose weights are not here",
        "warning",
        "train with --weights FILE, or --weights none; or run `clary train` once with a network",
    )


def _ask_hub(environment: Mapping[str, str]) -> tuple[float | None, str | None]:
    """The hub's time, where it says it, and why it cannot be reached, None where it can."""
    if environment.get("HF_HUB_OFFLINE", "").upper() in _YES:
        return None, "HF_HUB_OFFLINE is set"
    try:
        answer = requests.head(
            environment.get("HF_ENDPOINT") or HUB, timeout=CONNECT_SECONDS, allow_redirects=False
        )
    except (requests.RequestException, ValueError) as error:
        return None, _why(error)
    said = answer.headers.get("Date")
    try:
        return (parsedate_to_datetime(said).timestamp() if said else None), None
    except ValueError:
        return None, None


def _why(error: Exception) -> str:
    for kind, words in (
        (requests.exceptions.InvalidURL, "HF_ENDPOINT is no URL"),
        (requests.exceptions.MissingSchema, "HF_ENDPOINT is no URL"),
        (requests.exceptions.ProxyError, "the proxy does not let it through"),
        (requests.exceptions.SSLError, "its certificate is not trusted"),
        (requests.exceptions.Timeout, f"no answer in {CONNECT_SECONDS:.0f} s"),
    ):
        if isinstance(error, kind):
            return words
    return "no connection"


def _clock(hub_time: float | None) -> Iterator[Observation]:
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    # A clock that stands before these files were written is wrong, whoever else can be asked.
    oldest = Path(clary.__file__).stat().st_mtime - 86_400
    off = now - hub_time if hub_time is not None else min(0.0, now - oldest)
    if abs(off) > _CLOCK_SECONDS:
        yield Observation(
            "clock",
            f"{shown}, about {abs(off) / 60:.0f} minutes {'ahead' if off > 0 else 'behind'}",
            "certificates and AWS's signatures are refused",
            "warning",
            "set the clock, best by a time service such as systemd-timesyncd",
        )
        return
    yield Observation("clock", shown, "right" if hub_time is not None else "nobody to compare with")
