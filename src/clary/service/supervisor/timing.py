"""How long the supervisor waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Durations in seconds.

    `grace_s` lies between SIGTERM and SIGKILL, `settle_s` after SIGKILL; a job is looked at every
    `tick_s` while it is young or ends, every `calm_tick_s` otherwise; its logs are read every
    `follow_s` and its processes sampled every `sample_s`.
    """

    grace_s: float = 120.0
    settle_s: float = 5.0
    tick_s: float = 0.05
    calm_tick_s: float = 0.25
    follow_s: float = 0.5
    sample_s: float = 5.0
