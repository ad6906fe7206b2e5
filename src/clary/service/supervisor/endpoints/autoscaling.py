"""How many instances target tracking policies ask for, by the invocations of each minute.

A variant grows when the last minute brought more than the target for each of its instances, and
shrinks when each of the last five minutes would have been below nine tenths of the target for
fewer instances. AWS waits for three and for fifteen such minutes: there, an instance takes minutes
to come up.
"""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from clary import clock
from clary.service.invocations.traffic import Traffic
from clary.service.state.endpoints import EndpointRecord, VariantState
from clary.service.state.scaling import ScalableTarget, ScalingActivity, ScalingPolicy
from clary.service.supervisor.endpoints.transitions import FAILED, IN_SERVICE, UPDATING
from clary.service.supervisor.endpoints.workplace import Workplace

logger = logging.getLogger(__name__)

MINUTE_MS = 60_000
COOLDOWN_S = 300
_CALM_MINUTES = 5
_CALM_PART = 0.9


@dataclass(frozen=True)
class Decision:
    """A number of instances, and why."""

    count: int
    cause: str
    policy: ScalingPolicy | None = None


class Autoscaling:
    """Looks at all scalable targets, every `scaling_s`.

    Owned by the rounds of the endpoints, on whose thread `next` is called. What was counted is in
    memory: after a restart of the service no variant shrinks before it was watched for long enough.
    """

    def __init__(self, work: Workplace) -> None:
        self._work = work
        self._began_ms = clock.now_ms()
        self._due = 0.0
        # Whose last change is known to have come to its end.
        self._settled: set[str] = set()

    def next(self) -> None:
        """Let variants grow and shrink, where it is time to look.

        Raises:
            StorageError: the database cannot be read or written.
        """
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + self._work.timing.scaling_s
        for target in self._work.state.scaling.targets.select():
            self._look(target)

    def _look(self, target: ScalableTarget) -> None:
        _, endpoint_name, _, variant_name = target.name.split("/", 3)
        endpoint = self._work.state.endpoints.find(endpoint_name)
        variant = None if endpoint is None else endpoint.variant(variant_name)
        if endpoint is None or variant is None or endpoint.status != IN_SERVICE:
            return
        self._close(target, endpoint, variant)
        policies = self._work.state.scaling.policies.of(target.name)
        decision = decide(
            target,
            policies,
            variant.count,
            self._minutes(endpoint_name, variant_name),
            clock.now_ms(),
        )
        if decision is not None and not self._rests(target, decision):
            self._scale(target, endpoint, variant, decision)

    def _minutes(self, endpoint: str, variant: str) -> list[int]:
        """The invocations of each of the last minutes that were watched whole, the last first."""
        traffic, began_ms = self._work.traffic, self._began_ms
        return minutes(traffic, endpoint, variant, began_ms, clock.now_ms())

    def _rests(self, target: ScalableTarget, decision: Decision) -> bool:
        """Whether bounds could not be met a moment ago: each try is an update of the endpoint."""
        if decision.policy is not None:  # these have cooldowns of their own
            return False
        last = self._work.state.scaling.activities.last(target.name)
        if last is None or last.status != FAILED:
            return False
        return clock.now_ms() - (last.ended_ms or 0) < 1000 * COOLDOWN_S

    def _scale(
        self,
        target: ScalableTarget,
        endpoint: EndpointRecord,
        variant: VariantState,
        decision: Decision,
    ) -> None:
        at_ms = clock.now_ms()
        changed = self._work.state.endpoints.change(
            endpoint.name, lambda one: _scaled(one, variant.name, decision.count, at_ms)
        )
        if changed is None:
            return
        logger.info("%s: %s", target.name, decision.cause)
        self._settled.discard(target.name)
        self._work.state.scaling.activities.add(
            ScalingActivity(
                activity=str(uuid.uuid4()),
                resource=target.name,
                description=f"Setting desired instance count to {decision.count}.",
                cause=decision.cause,
                started_ms=at_ms,
            )
        )
        if decision.policy is not None:
            grows = decision.count > variant.count
            self._work.state.scaling.policies.change(
                decision.policy.name,
                lambda one: (
                    replace(one, last_out_ms=at_ms) if grows else replace(one, last_in_ms=at_ms)
                ),
            )
        self._work.changed()

    def _close(
        self, target: ScalableTarget, endpoint: EndpointRecord, variant: VariantState
    ) -> None:
        """Say how the change went that was made last; also one of an earlier service."""
        if target.name in self._settled:
            return
        self._settled.add(target.name)
        done = endpoint.failure is None
        self._work.state.scaling.activities.end(
            target.name,
            "Successful" if done else FAILED,
            f"Successfully set desired instance count to {variant.count}. Change successfully "
            "fulfilled by sagemaker."
            if done
            else f"Failed to set desired instance count: {endpoint.failure}",
            clock.now_ms(),
        )


def decide(
    target: ScalableTarget,
    policies: list[ScalingPolicy],
    count: int,
    invocations: list[int],
    now_ms: int,
) -> Decision | None:
    """How many instances a variant shall have from now on; None for as many as it has.

    Args:
        target: the bounds.
        policies: of the target.
        count: how many instances serve.
        invocations: of the last whole minutes, the last one first.
        now_ms: the time.
    """
    bounded = min(max(count, target.minimum), target.maximum)
    if bounded != count and not _suspended(target, grows=bounded > count):
        return Decision(
            bounded,
            f"{count} instances are out of the bounds from {target.minimum} to {target.maximum}",
        )
    asked = [_asked(target, policy, count, invocations, now_ms) for policy in policies]
    growing = [one for one in asked if one.count > count]
    if growing:
        return max(growing, key=lambda one: one.count)
    # A variant shrinks where all policies agree.
    shrinking = max(asked, key=lambda one: one.count, default=None)
    return shrinking if shrinking is not None and shrinking.count < count else None


def minutes(traffic: Traffic, endpoint: str, variant: str, began_ms: int, now_ms: int) -> list[int]:
    """The invocations of each of the last minutes, the last one first, as far as they are known.

    Args:
        traffic: what was counted.
        endpoint: by its name.
        variant: of it.
        began_ms: when the counting began.
        now_ms: the time.
    """
    ends = (now_ms - number * MINUTE_MS for number in range(_CALM_MINUTES))
    return [
        traffic.invocations(endpoint, variant, end_ms - MINUTE_MS, end_ms)
        for number, end_ms in enumerate(ends)
        # The last minute counts from the first moment on: a burst is not to wait.
        if number == 0 or end_ms - MINUTE_MS >= began_ms
    ]


def _asked(
    target: ScalableTarget, policy: ScalingPolicy, count: int, invocations: list[int], now_ms: int
) -> Decision:
    """What one policy asks for; the count as it is where it asks for nothing."""
    stays = Decision(count, "", policy)
    configuration = policy.configuration
    aim = float(configuration["TargetValue"])
    last = invocations[0] if invocations else 0
    per_instance = f"{last / max(count, 1):g} invocations per instance in the last minute"
    if last > aim * count:
        wanted = min(math.ceil(last / aim), target.maximum)
        if (
            wanted <= count
            or _suspended(target, grows=True)
            or _cooling(policy.last_out_ms, configuration, "ScaleOutCooldown", now_ms)
        ):
            return stays
        return Decision(
            wanted, f"policy {policy.policy}: {per_instance}, above its target {aim:g}", policy
        )
    if len(invocations) < _CALM_MINUTES or configuration.get("DisableScaleIn"):
        return stays
    most = max(invocations)
    wanted = max(math.ceil(most / (aim * _CALM_PART)), target.minimum, 1 if most else 0)
    if wanted >= count or _suspended(target, grows=False):
        return stays
    since = max(policy.last_out_ms or 0, policy.last_in_ms or 0)
    if _cooling(since, configuration, "ScaleInCooldown", now_ms):
        return stays
    return Decision(
        wanted,
        f"policy {policy.policy}: at most {most} invocations a minute in {_CALM_MINUTES} minutes, "
        f"below its target {aim:g} for each of {count} instances",
        policy,
    )


def _cooling(
    since_ms: int | None, configuration: Mapping[str, Any], name: str, now_ms: int
) -> bool:
    return bool(since_ms) and now_ms - (since_ms or 0) < 1000 * configuration.get(name, COOLDOWN_S)


def _suspended(target: ScalableTarget, *, grows: bool) -> bool:
    name = "DynamicScalingOutSuspended" if grows else "DynamicScalingInSuspended"
    return bool(target.suspended.get(name))


def _scaled(record: EndpointRecord, variant: str, count: int, at_ms: int) -> EndpointRecord | None:
    if record.status != IN_SERVICE:
        return None
    variants = tuple(
        replace(one, desired_count=count) if one.name == variant else one for one in record.variants
    )
    return replace(record, status=UPDATING, variants=variants, failure=None, modified_ms=at_ms)
