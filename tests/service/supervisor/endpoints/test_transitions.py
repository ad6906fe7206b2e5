"""The table of statuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clary.service.state.endpoints import EndpointRecord, Pending, VariantState
from clary.service.supervisor.endpoints.transitions import FAILURE_LIMIT, failed, whole

_VARIANT = VariantState("a", 1.0, 1, 2.0, 3)
_RECORD = EndpointRecord(
    name="e",
    arn="arn",
    status="Creating",
    config_name="c",
    config={"old": 1},
    created_ms=1,
    modified_ms=1,
    variants=(_VARIANT,),
)


def test_one_that_is_created_comes_up_or_fails() -> None:
    after = whole(_RECORD, 5)
    assert after is not None
    assert (after.status, after.modified_ms) == ("InService", 5)
    assert after.variants == (VariantState("a", 2.0, 3, 2.0, 3),)
    after = failed(_RECORD, "why" * 1000, 5)
    assert after is not None
    assert after.status == "Failed"
    assert after.failure is not None
    assert len(after.failure) == FAILURE_LIMIT


def test_an_update_brings_its_configuration_or_leaves_the_old_one() -> None:
    pending = Pending("d", {"new": 1}, 2, 3, variants=(replace(_VARIANT, name="b"),))
    updating = replace(_RECORD, status="Updating", fleets=2, pending=pending, failure="old")
    after = whole(updating, 5)
    assert after is not None
    assert (after.config_name, after.config, after.fleet) == ("d", {"new": 1}, 2)
    assert (after.pending, after.failure) == (None, None)
    assert [one.name for one in after.variants] == ["b"]
    after = failed(updating, "why", 5)
    assert after is not None
    assert (after.status, after.config_name, after.fleet) == ("InService", "c", 1)
    assert (after.pending, after.failure, after.variants) == (None, "why", (_VARIANT,))


def test_a_change_of_capacities_that_fails_is_taken_back() -> None:
    after = failed(replace(_RECORD, status="Updating"), "why", 5)
    assert after is not None
    assert after.variants == (VariantState("a", 1.0, 1, 1.0, 1),)


def test_another_concurrency_is_in_effect_once_the_update_is_done() -> None:
    less = {"MemorySizeInMB": 2048, "MaxConcurrency": 1}
    more = {**less, "MaxConcurrency": 9}
    requests = [{"VariantName": name, "ServerlessConfig": less} for name in ("a", "b")]
    asked = (replace(_VARIANT, desired_serverless=more), replace(_VARIANT, name="b"))
    config = {"ProductionVariants": requests}
    updating = replace(_RECORD, status="Updating", config=config, variants=asked)
    after = whole(updating, 5)
    assert after is not None
    assert after.config == {
        "ProductionVariants": [{"VariantName": "a", "ServerlessConfig": more}, requests[1]]
    }
    assert [one.desired_serverless for one in after.variants] == [None, None]
    after = failed(updating, "why", 5)
    assert after is not None
    assert after.config == config
    assert [one.desired_serverless for one in after.variants] == [None, None]


@pytest.mark.parametrize("status", ["InService", "Failed", "Deleting", "OutOfService"])
def test_nothing_else_happens(status: str) -> None:
    assert whole(replace(_RECORD, status=status), 5) is None
    assert failed(replace(_RECORD, status=status), "why", 5) is None
