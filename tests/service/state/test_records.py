"""What hosting remembers comes back as it was, under numbers that are never given twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.service.state.async_invocations import RUNNING, AsyncRecord, AsyncTicket
from clary.service.state.endpoints import (
    EndpointRecord,
    Pending,
    VariantState,
    model_request,
    variant_request,
)
from clary.service.state.log_streams import LogStream
from clary.service.state.models import EndpointConfigRecord, ModelRecord
from clary.service.state.replicas import ENDED as ENDED_REPLICA
from clary.service.state.replicas import ENDED_KEPT, SERVING, ReplicaRecord
from clary.service.state.scaling import KEPT_MS, ScalableTarget, ScalingActivity, ScalingPolicy
from clary.service.state.state import State
from clary.service.state.transform_jobs import TransformJobRecord

TEXT = st.text(max_size=12)
WORD = st.text("abcXYZ-0", min_size=1, max_size=12)
MOMENT = st.integers(0, 2**53)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
REQUEST = st.dictionaries(TEXT, JSON, max_size=4)
WEIGHT = st.floats(0, 1e6)
VARIANT = st.builds(
    VariantState,
    name=WORD,
    weight=WEIGHT,
    count=st.integers(0, 32),
    desired_weight=WEIGHT,
    desired_count=st.integers(0, 32),
    shadow=st.booleans(),
)
VARIANTS = st.lists(VARIANT, max_size=3).map(tuple)
PENDING = st.builds(
    Pending,
    config_name=WORD,
    config=REQUEST,
    fleet=st.integers(1, 99),
    started_ms=MOMENT,
    deployment=st.none() | REQUEST,
    variants=VARIANTS,
)
ENDPOINT = st.builds(
    EndpointRecord,
    name=WORD,
    arn=WORD,
    status=WORD,
    config_name=WORD,
    config=REQUEST,
    created_ms=MOMENT,
    modified_ms=MOMENT,
    fleet=st.integers(1, 99),
    fleets=st.integers(1, 99),
    variants=VARIANTS,
    pending=st.none() | PENDING,
    deployment=st.none() | REQUEST,
    failure=st.none() | TEXT,
)
MODEL = st.builds(ModelRecord, name=WORD, arn=WORD, request=REQUEST, created_ms=MOMENT)
CONFIG = st.builds(EndpointConfigRecord, name=WORD, arn=WORD, request=REQUEST, created_ms=MOMENT)
TRANSFORM = st.builds(
    TransformJobRecord,
    name=WORD,
    arn=WORD,
    request=REQUEST,
    model=REQUEST,
    created_ms=MOMENT,
    modified_ms=MOMENT,
    status=WORD,
    phase=WORD,
    started_ms=st.none() | MOMENT,
    ended_ms=st.none() | MOMENT,
    stop_asked_ms=st.none() | MOMENT,
    launched=st.booleans(),
    failure=st.none() | TEXT,
)
TARGET = st.builds(
    ScalableTarget,
    name=WORD,
    arn=WORD,
    minimum=st.integers(1, 32),
    maximum=st.integers(1, 32),
    role=WORD,
    suspended=st.dictionaries(WORD, st.booleans(), max_size=3),
    created_ms=MOMENT,
)
POLICY = st.builds(
    ScalingPolicy,
    name=WORD,
    policy=WORD,
    arn=WORD,
    resource=WORD,
    configuration=REQUEST,
    created_ms=MOMENT,
    last_out_ms=st.none() | MOMENT,
    last_in_ms=st.none() | MOMENT,
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    state = State(tmp_path_factory.mktemp("state") / "state.sqlite")
    yield state
    state.close()


def nouns(state: State) -> dict[str, Any]:
    return {
        "model": state.models,
        "config": state.endpoint_configs,
        "endpoint": state.endpoints,
        "transform": state.transform_jobs,
        "target": state.scaling.targets,
        "policy": state.scaling.policies,
    }


@pytest.mark.parametrize(
    ("noun", "records"),
    [
        ("model", MODEL),
        ("config", CONFIG),
        ("endpoint", ENDPOINT),
        ("transform", TRANSFORM),
        ("target", TARGET),
        ("policy", POLICY),
    ],
    ids=["model", "config", "endpoint", "transform", "target", "policy"],
)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_record_comes_back_as_it_was(
    state: State, noun: str, records: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    kept = nouns(state)[noun]
    first, other = data.draw(records), data.draw(records)
    seen = kept.version
    assert kept.create(first, {"key": "value"}) is None
    stored = kept.find(first.name)
    assert replace(stored, number=0) == first
    assert kept.get(stored.number) == stored
    assert kept.create(first, {}) == stored
    assert state.tags.of(first.arn)["key"] == "value"
    assert kept.version > seen
    changed = kept.change(first.name, lambda now: replace(other, name=now.name, number=now.number))
    assert changed == replace(other, name=first.name, number=stored.number)
    assert kept.find(first.name) == changed
    assert changed in kept.select(())
    assert kept.forget(first.name)
    assert state.tags.of(other.arn) == {}
    assert not kept.forget(first.name)
    # The number of what is gone is not given again.
    kept.create(first, {})
    assert kept.find(first.name).number > stored.number
    kept.forget(first.name)


def endpoint(name: str, **changes: Any) -> EndpointRecord:
    plain = EndpointRecord(
        name=name,
        arn=f"arn:{name}",
        status="Creating",
        config_name="config",
        config={},
        created_ms=1,
        modified_ms=1,
    )
    return replace(plain, **changes)


def test_a_change_that_raises_or_gives_nothing_changes_nothing(state: State) -> None:
    state.endpoints.create(endpoint("firm"), {})
    before, seen = state.endpoints.find("firm"), state.endpoints.version

    def refuse(_: EndpointRecord) -> EndpointRecord:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        state.endpoints.change("firm", refuse)
    assert state.endpoints.change("firm", lambda _: None) is None
    assert state.endpoints.change("nobody", lambda one: one) is None
    assert (state.endpoints.find("firm"), state.endpoints.version) == (before, seen)


def test_changes_of_many_threads_are_all_made(state: State) -> None:
    state.endpoints.create(endpoint("counted", fleets=0), {})
    seen = state.endpoints.version

    def count() -> None:
        for _ in range(20):
            state.endpoints.change("counted", lambda one: replace(one, fleets=one.fleets + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = state.endpoints.find("counted")
    assert found is not None
    assert found.fleets == 80
    assert state.endpoints.version == seen + 80


def test_an_endpoint_takes_with_it_what_belongs_to_it(state: State) -> None:
    state.endpoints.create(endpoint("left"), {"key": "value"})
    found = state.endpoints.find("left")
    assert found is not None
    replica = state.replicas.add(ReplicaRecord(found.number, 1, "v", "i-left", 1))
    state.async_invocations.add(AsyncRecord("id-left", "left", found.number, None, {}, 1, 2))
    for number, name in enumerate(("left", "left2")):
        resource = f"endpoint/{name}/variant/v"
        state.scaling.targets.create(ScalableTarget(resource, "arn", 1, 2, "role", {}, 1), {})
        state.scaling.policies.create(
            ScalingPolicy(f"policy-{number}", "p", "arn", resource, {}, 1), {}
        )
    for group in ("/group/left", "/group/left2"):
        state.logs.add_stream(LogStream(group, "v/i-left", Path("algo-1.log"), 1))
    seen = state.replicas.version, state.endpoints.version
    assert state.forget_endpoint("left", "/group/left")
    assert not state.logs.has_group("/group/left")
    assert len(state.logs.streams("/group/left2")) == 1
    assert not state.forget_endpoint("left", "/group/left")
    assert state.replicas.get(replica.number) is None
    assert state.async_invocations.open() == []
    assert state.tags.of("arn:left") == {}
    assert state.scaling.targets.find("endpoint/left/variant/v") is None
    assert state.scaling.targets.find("endpoint/left2/variant/v") is not None
    assert state.scaling.policies.of("endpoint/left/variant/v") == []
    assert len(state.scaling.policies.of("endpoint/left2/variant/v")) == 1
    assert state.forget_scalable_target("endpoint/left2/variant/v")
    assert state.scaling.policies.of("endpoint/left2/variant/v") == []
    assert state.replicas.version > seen[0]
    assert state.endpoints.version > seen[1]


def test_replicas_are_found_by_status_endpoint_and_instance(state: State) -> None:
    numbers = []
    for name in ("one", "two"):
        state.endpoints.create(endpoint(name), {})
        found = state.endpoints.find(name)
        assert found is not None
        numbers.append(found.number)
        for instance in ("a", "b"):
            state.replicas.add(ReplicaRecord(found.number, 1, "v", f"i-{name}-{instance}", 1))
    ready = state.replicas.find("i-one-a")
    assert ready is not None
    seen = state.replicas.version
    state.replicas.change(ready.number, lambda one: replace(one, status=SERVING, port=4711))
    assert state.replicas.version > seen
    found_ones = state.replicas.select((SERVING,), numbers[0])
    assert [(one.instance, one.port, one.shadow) for one in found_ones] == [
        ("i-one-a", 4711, False)
    ]
    assert [one.instance for one in state.replicas.select(endpoint=numbers[1])] == [
        "i-two-a",
        "i-two-b",
    ]


def test_only_the_last_replicas_that_have_ended_are_kept(state: State) -> None:
    state.endpoints.create(endpoint("dying"), {})
    found = state.endpoints.find("dying")
    assert found is not None
    for number in range(ENDED_KEPT + 3):
        status = SERVING if number == 0 else ENDED_REPLICA
        state.replicas.add(ReplicaRecord(found.number, 1, "v", f"i-{number}", number, status))
    kept = [one.instance for one in state.replicas.select(endpoint=found.number)]
    assert kept == ["i-0", *(f"i-{number}" for number in range(3, ENDED_KEPT + 3))]


def test_invocations_wait_in_order_until_they_have_been_answered(state: State) -> None:
    state.endpoints.create(endpoint("asked"), {})
    found = state.endpoints.find("asked")
    assert found is not None
    stored = [
        state.async_invocations.add(
            AsyncRecord(f"id-{number}", "asked", found.number, None, {"n": number}, number, 99)
        )
        for number in range(3)
    ]
    tickets = [AsyncTicket(one.number, "asked", found.number, 99) for one in stored]
    assert state.async_invocations.open() == tickets
    state.async_invocations.change(
        "id-0", lambda one: replace(one, status=RUNNING, attempts=one.attempts + 1)
    )
    assert state.async_invocations.open() == tickets
    begun = state.async_invocations.get(tickets[0].number)
    assert begun is not None
    assert (begun.id, begun.request, begun.attempts) == ("id-0", {"n": 0}, 1)
    state.async_invocations.remove("id-0")
    assert state.async_invocations.open() == tickets[1:]


def test_what_scaling_did_is_kept_six_weeks(state: State) -> None:
    def did(name: str, at_ms: int) -> ScalingActivity:
        return ScalingActivity(name, "endpoint/e/variant/v", "did", "because", at_ms)

    for name, at_ms in (("old", 1), ("last", KEPT_MS), ("new", KEPT_MS + 2)):
        state.scaling.activities.add(did(name, at_ms))
    kept = state.scaling.activities.select("endpoint/e/variant/v")
    assert [one.activity for one in kept] == ["new", "last"]


def test_a_configuration_tells_what_a_variant_serves() -> None:
    config = {
        "ProductionVariants": [{"VariantName": "a", "ModelName": "m"}],
        "ShadowProductionVariants": [{"VariantName": "b", "ModelName": "n"}],
        "_models": {"m": {"ModelName": "m"}, "n": {"ModelName": "n"}},
    }
    assert variant_request(config, "b")["ModelName"] == "n"
    assert model_request(config, "a") == {"ModelName": "m"}
    with pytest.raises(KeyError):
        variant_request(config, "c")
