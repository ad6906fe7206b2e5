"""How long the supervisor waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Durations in seconds.

    `grace_s` lies between SIGTERM and SIGKILL, `settle_s` after SIGKILL; a job is looked at every
    `tick_s` while it is young or ends, every `calm_tick_s` otherwise; its logs are read every
    `follow_s` and its processes sampled every `sample_s`. What is not read of the logs within
    `last_read_s` of the end is not looked through for metrics. A job whose hosts cannot be seen
    for `unseen_s` has failed; a step that failed is tried again after `retry_s`, and a job that
    has waited for `turn_s` is overtaken no more. Rules are looked at every `rules_s`, and every
    `calm_rules_s` once they have been for a minute; when the training has ended they have
    `rule_grace_s` to judge what is left, and `rule_settle_s` from SIGTERM on.
    """

    grace_s: float = 120.0
    settle_s: float = 5.0
    tick_s: float = 0.05
    calm_tick_s: float = 0.25
    follow_s: float = 0.5
    sample_s: float = 5.0
    last_read_s: float = 15.0
    unseen_s: float = 60.0
    retry_s: float = 1.0
    turn_s: float = 60.0
    rules_s: float = 0.25
    calm_rules_s: float = 1.0
    rule_grace_s: float = 60.0
    rule_settle_s: float = 5.0
