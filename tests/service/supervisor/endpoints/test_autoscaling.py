"""Target tracking: how many instances a policy asks for, and that they come."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clary.service.invocations.traffic import Traffic
from clary.service.state.scaling import ScalableTarget, ScalingPolicy
from clary.service.supervisor.endpoints.autoscaling import (
    COOLDOWN_S,
    MINUTE_MS,
    decide,
    minutes,
)
from tests.service.supervisor.endpoints.conftest import (
    QUICK,
    Stage,
    configuration,
    now_ms,
    variant,
)

RESOURCE = "endpoint/e/variant/AllTraffic"
NOW_MS = 100 * MINUTE_MS


def target(minimum: int = 1, maximum: int = 4, **suspended: bool) -> ScalableTarget:
    return ScalableTarget(RESOURCE, "arn", minimum, maximum, "role", suspended, NOW_MS)


def policy(aim: float = 10, **more: Any) -> ScalingPolicy:
    times = {name: more.pop(name) for name in ("last_out_ms", "last_in_ms") if name in more}
    configuration = {"TargetValue": aim, **more}
    return ScalingPolicy("n", "p", "arn", RESOURCE, configuration, NOW_MS, **times)


def count(*policies: ScalingPolicy, has: int, minutes: list[int], **bounds: Any) -> int:
    decision = decide(target(**bounds), list(policies), has, minutes, NOW_MS)
    return has if decision is None else decision.count


def test_it_grows_with_the_last_minute() -> None:
    assert count(policy(), has=1, minutes=[35]) == 4
    assert count(policy(), has=1, minutes=[10]) == 1
    assert count(policy(), has=1, minutes=[11]) == 2
    assert count(policy(), has=1, minutes=[1000]) == 4
    assert count(policy(), has=4, minutes=[1000]) == 4


def test_it_shrinks_after_five_calm_minutes() -> None:
    assert count(policy(), has=4, minutes=[5, 5, 5, 5]) == 4
    assert count(policy(), has=4, minutes=[5, 5, 5, 5, 5]) == 1
    assert count(policy(), has=4, minutes=[5, 25, 5, 5, 5]) == 3
    assert count(policy(), has=4, minutes=[0] * 5, minimum=2) == 2
    # What would be just below the target for fewer is left as it is.
    assert count(policy(), has=2, minutes=[10] * 5) == 2


def test_it_waits_between_two_changes() -> None:
    assert count(policy(last_out_ms=NOW_MS - 1000), has=1, minutes=[35]) == 1
    assert count(policy(last_out_ms=NOW_MS - 1000, ScaleOutCooldown=0), has=1, minutes=[35]) == 4
    assert count(policy(last_in_ms=NOW_MS - 299_000), has=3, minutes=[0] * 5) == 3
    assert count(policy(last_in_ms=NOW_MS - 301_000), has=3, minutes=[0] * 5) == 1


def test_what_is_suspended_or_disabled_does_not_happen() -> None:
    assert count(policy(), has=1, minutes=[35], DynamicScalingOutSuspended=True) == 1
    assert count(policy(), has=3, minutes=[0] * 5, DynamicScalingInSuspended=True) == 3
    assert count(policy(DisableScaleIn=True), has=3, minutes=[0] * 5) == 3


def test_bounds_hold_without_a_policy() -> None:
    assert count(has=1, minutes=[], minimum=2) == 2
    assert count(has=9, minutes=[], maximum=3) == 3
    assert count(has=2, minutes=[]) == 2


def test_several_policies_grow_with_one_and_shrink_with_all() -> None:
    assert count(policy(10), policy(5), has=1, minutes=[20]) == 4
    calm = [8] * 5
    assert count(policy(10), policy(4), has=3, minutes=calm) == 3
    assert count(policy(10), policy(20), has=3, minutes=calm) == 1


@given(
    has=st.integers(1, 6),
    counted=st.lists(st.integers(0, 500), max_size=5),
    aim=st.floats(0.5, 200),
    low=st.integers(1, 3),
    more=st.integers(0, 5),
)
def test_it_stays_within_the_bounds(
    has: int, counted: list[int], aim: float, low: int, more: int
) -> None:
    wanted = count(policy(aim), has=has, minutes=counted, minimum=low, maximum=low + more)
    assert low <= wanted <= low + more


def test_minutes_that_were_not_watched_do_not_count() -> None:
    traffic = Traffic()
    for number in (2, 1, 0):
        traffic.note("e", "v", NOW_MS - number * MINUTE_MS - 1000)
    assert minutes(traffic, "e", "v", 0, NOW_MS) == [1, 1, 1, 0, 0]
    assert minutes(traffic, "e", "v", NOW_MS - 2 * MINUTE_MS, NOW_MS) == [1, 1]
    assert minutes(traffic, "e", "v", NOW_MS, NOW_MS) == [1]


def test_a_variant_grows_and_says_so(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    at_ms = now_ms()
    bounds = ScalableTarget(RESOURCE, "arn", 1, 3, "role", {}, at_ms)
    assert stage.state.scaling.targets.add(bounds) is None
    aims = ScalingPolicy("n", "p", "arn", RESOURCE, {"TargetValue": 5.0}, at_ms)
    assert stage.state.scaling.policies.add(aims) is None
    for _ in range(12):
        stage.traffic.note("e", "AllTraffic", now_ms() - 1500)
    stage.eventually(lambda: len(stage.serving("e")) == 3)
    assert stage.reach("e", "InService").variants[0].count == 3
    stage.eventually(
        lambda: (
            [one.status for one in stage.state.scaling.activities.select(RESOURCE)]
            == ["Successful"]
        )
    )
    (activity,) = stage.state.scaling.activities.select(RESOURCE)
    assert activity.description == "Setting desired instance count to 3."
    assert stage.state.scaling.policies.of(RESOURCE)[0].last_out_ms is not None


def test_bounds_that_cannot_be_met_are_left_for_a_while(stage: Stage) -> None:
    stage.create("e", configuration(variant()))
    stage.reach("e", "InService")
    stage.replicas.dies["AllTraffic"] = "no memory is left"
    bounds = ScalableTarget(RESOURCE, "arn", 2, 3, "role", {}, now_ms())
    assert stage.state.scaling.targets.add(bounds) is None

    def failed() -> bool:
        activities = stage.state.scaling.activities.select(RESOURCE)
        return [one.status for one in activities] == ["Failed"]

    stage.eventually(failed)
    looks_at = time.monotonic() + 20 * QUICK.scaling_s
    while time.monotonic() < looks_at:
        assert failed()
        record = stage.state.endpoints.find("e")
        assert record is not None
        assert record.status == "InService"
        assert "no memory is left" in str(record.failure)
        time.sleep(QUICK.scaling_s)
    (activity,) = stage.state.scaling.activities.select(RESOURCE)
    assert activity.message == f"Failed to set desired instance count: {record.failure}"
    assert activity.ended_ms is not None
    long_ago = replace(activity, ended_ms=activity.ended_ms - 1000 * COOLDOWN_S)
    stage.replicas.dies.clear()
    stage.state.scaling.activities.change_numbered(activity.number, lambda one: long_ago)
    stage.eventually(lambda: len(stage.serving("e")) == 2)
