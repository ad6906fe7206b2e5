"""CloudWatch Logs through boto3."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from clary.service.operations.log_filtering import Pattern
from tests.service.operations.conftest import Bench, CreateJob
from tests.service.supervisor.conftest import eventually

GROUP = "/test/group"


@pytest.fixture
def logs(bench: Bench) -> Any:
    return bench.client("logs")


def code(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**parameters)
    found: str = error.value.response["Error"]["Code"]
    return found


def fill(logs: Any, stream: str, count: int, group: str = GROUP) -> int:
    """Put `count` events, a millisecond apart; when the first one was."""
    begin = int(time.time() * 1000) - 10_000
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    logs.put_log_events(
        logGroupName=group,
        logStreamName=stream,
        logEvents=[{"timestamp": begin + n, "message": f"{stream} {n}"} for n in range(count)],
    )
    return begin


def messages(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


def test_forward_tokens_go_to_the_end_and_stay_there(logs: Any) -> None:
    fill(logs, "forward", 5)
    place = {"logGroupName": GROUP, "logStreamName": "forward", "limit": 2}
    seen, token = [], None
    answer = logs.get_log_events(**place, startFromHead=True)
    while answer["nextForwardToken"] != token:
        seen += messages(answer)
        token = answer["nextForwardToken"]
        answer = logs.get_log_events(**place, nextToken=token)
    assert seen == [f"forward {n}" for n in range(5)]
    now = int(time.time() * 1000)
    logs.put_log_events(
        logGroupName=GROUP,
        logStreamName="forward",
        logEvents=[{"timestamp": now, "message": "later"}],
    )
    assert messages(logs.get_log_events(**place, nextToken=token)) == ["later"]


def test_the_newest_come_first_and_backward_tokens_lead_to_the_oldest(logs: Any) -> None:
    fill(logs, "backward", 5)
    place = {"logGroupName": GROUP, "logStreamName": "backward", "limit": 2}
    answer = logs.get_log_events(**place)
    seen, token = messages(answer), None
    while answer["nextBackwardToken"] != token:
        token = answer["nextBackwardToken"]
        answer = logs.get_log_events(**place, nextToken=token)
        seen = messages(answer) + seen
    assert seen == [f"backward {n}" for n in range(5)]
    forward = logs.get_log_events(**place, startFromHead=True)
    assert messages(logs.get_log_events(**place, nextToken=forward["nextBackwardToken"])) == []


def test_times_bound_what_is_shown(logs: Any) -> None:
    begin = fill(logs, "times", 10)
    answer = logs.get_log_events(
        logGroupName=GROUP,
        logStreamName="times",
        startTime=begin + 3,
        endTime=begin + 5,
        startFromHead=True,
    )
    assert messages(answer) == ["times 3", "times 4"]
    assert answer["events"][0]["timestamp"] == begin + 3
    assert answer["events"][0]["ingestionTime"]


def test_a_page_holds_a_megabyte(logs: Any) -> None:
    fill(logs, "large", 1)
    now = int(time.time() * 1000)
    for n in range(8):
        logs.put_log_events(
            logGroupName=GROUP,
            logStreamName="large",
            logEvents=[{"timestamp": now, "message": str(n) * 250_000}],
        )
    place = {"logGroupName": GROUP, "logStreamName": "large"}
    first = logs.get_log_events(**place, startFromHead=True)
    assert [message[0] for message in messages(first)] == ["l", "0", "1", "2", "3"]
    second = logs.get_log_events(**place, nextToken=first["nextForwardToken"])
    assert [message[0] for message in messages(second)] == ["4", "5", "6", "7"]
    last = logs.get_log_events(**place)
    assert [message[0] for message in messages(last)] == ["4", "5", "6", "7"]


def test_streams_are_listed_by_name_and_by_time_in_pages(logs: Any) -> None:
    group = "/test/listing"
    for name in ("job/b", "job/a", "job/c", "other"):
        fill(logs, name, 1, group)
        time.sleep(0.002)

    def names(**asked: Any) -> list[str]:
        pages = logs.get_paginator("describe_log_streams").paginate(
            logGroupName=group, PaginationConfig={"PageSize": 2}, **asked
        )
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]

    assert names() == ["job/a", "job/b", "job/c", "other"]
    assert names(logStreamNamePrefix="job/", descending=True) == ["job/c", "job/b", "job/a"]
    assert names(orderBy="LastEventTime") == ["job/b", "job/a", "job/c", "other"]
    assert (
        code(
            logs.describe_log_streams,
            logGroupName=group,
            logStreamNamePrefix="job/",
            orderBy="LastEventTime",
        )
        == "InvalidParameterException"
    )
    assert code(logs.describe_log_streams, logGroupName="/none") == "ResourceNotFoundException"


def test_filters_find_terms_across_streams_in_the_order_of_time(logs: Any) -> None:
    group = "/test/filter"
    for name in ("x", "y"):
        fill(logs, name, 30, group)
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, filterPattern='?" 7" ?" 29" -x', PaginationConfig={"PageSize": 1}
    )
    found = [event for page in pages for event in page["events"]]
    assert [(event["logStreamName"], event["message"]) for event in found] == [
        ("y", "y 7"),
        ("y", "y 29"),
    ]
    everything = logs.filter_log_events(logGroupName=group, logStreamNames=["x"])
    assert messages(everything) == [f"x {n}" for n in range(30)]
    for pattern in ("{ $.level = 1 }", "[a, b]", "%x|y%", 'one "half'):
        assert (
            code(logs.filter_log_events, logGroupName=group, filterPattern=pattern)
            == "InvalidParameterException"
        )


def test_names_are_taken_once_and_what_is_deleted_is_gone(logs: Any) -> None:
    group = "/test/deleted"
    fill(logs, "s", 1, group)
    assert code(logs.create_log_group, logGroupName=group) == "ResourceAlreadyExistsException"
    stream = {"logGroupName": group, "logStreamName": "s"}
    assert code(logs.create_log_stream, **stream) == "ResourceAlreadyExistsException"
    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    (shown,) = logs.describe_log_groups(logGroupNamePattern="DELETED")["logGroups"]
    assert (shown["retentionInDays"], shown["storedBytes"] > 0) == (7, True)
    logs.delete_log_stream(**stream)
    assert code(logs.get_log_events, **stream) == "ResourceNotFoundException"
    logs.create_log_stream(**stream)
    assert messages(logs.get_log_events(**stream)) == []
    logs.delete_log_group(logGroupName=group)
    assert code(logs.delete_log_group, logGroupName=group) == "ResourceNotFoundException"


def test_what_is_not_offered_is_refused_by_name(logs: Any) -> None:
    for name, value in (
        ("kmsKeyId", "arn:aws:kms:us-east-1:000000000000:key/k"),
        ("logGroupClass", "INFREQUENT_ACCESS"),
        ("deletionProtectionEnabled", True),
        ("tags", {"a": "b"}),
    ):
        with pytest.raises(ClientError, match=f"{name} is not offered"):
            logs.create_log_group(logGroupName="/test/refused", **{name: value})
    logs.create_log_group(logGroupName="/test/plain", logGroupClass="STANDARD")
    with pytest.raises(ClientError, match="startFromHead false is not offered"):
        logs.filter_log_events(logGroupName="/test/plain", startFromHead=False)


def test_events_too_old_too_new_or_out_of_order(logs: Any) -> None:
    fill(logs, "odd", 1)
    now = int(time.time() * 1000)
    place = {"logGroupName": GROUP, "logStreamName": "odd"}
    hour_ms = 3_600_000
    moments = (now - 20 * 24 * hour_ms, now, now + 5 * hour_ms)
    answer = logs.put_log_events(
        **place, logEvents=[{"timestamp": at, "message": str(at)} for at in moments]
    )
    assert answer["rejectedLogEventsInfo"] == {
        "tooOldLogEventEndIndex": 1,
        "tooNewLogEventStartIndex": 2,
    }
    assert messages(logs.get_log_events(**place))[1:] == [str(now)]
    turned = [{"timestamp": now + 1, "message": "b"}, {"timestamp": now, "message": "a"}]
    assert code(logs.put_log_events, **place, logEvents=turned) == "InvalidParameterException"


def test_the_log_of_a_job_is_there_while_it_runs(
    bench: Bench, logs: Any, create_job: CreateJob
) -> None:
    definitions = [{"Name": "loss", "Regex": "loss: ([0-9.]+)"}]
    create_job(
        "logged",
        AlgorithmSpecification={
            "TrainingImage": "image",
            "TrainingInputMode": "File",
            "MetricDefinitions": definitions,
        },
    )
    bench.reach("logged", "Training")
    now = int(time.time() * 1000)
    bench.executor.write_log(bench.spec("logged"), (now, "loss: 0.5"), (now + 1, "loss: 0.25"))
    eventually(bench.state, "logged", lambda job: bool(job.final_metrics))
    group = "/aws/sagemaker/TrainingJobs"
    (stream,) = logs.describe_log_streams(
        logGroupName=group, logStreamNamePrefix="logged/", orderBy="LogStreamName", limit=1
    )["logStreams"]
    place = {"logGroupName": group, "logStreamName": stream["logStreamName"]}
    assert messages(logs.get_log_events(**place, startFromHead=True)) == [
        "loss: 0.5",
        "loss: 0.25",
    ]
    assert stream["lastEventTimestamp"] == now + 1
    strange = [{"timestamp": now, "message": "not the job's"}]
    assert code(logs.put_log_events, **place, logEvents=strange) == "InvalidParameterException"
    bench.finish("logged")
    told = bench.client("sagemaker").describe_training_job(TrainingJobName="logged")
    (metric,) = told["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("loss", 0.25)


words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=4)


@given(st.lists(words, max_size=3), st.lists(words, max_size=3), st.text(max_size=30))
def test_patterns_of_words_mean_what_they_say(
    wanted: list[str], unwanted: list[str], message: str
) -> None:
    text = " ".join([*wanted, *(f'-"{word}"' for word in unwanted)])
    expected = all(word in message for word in wanted) and not any(
        word in message for word in unwanted
    )
    assert Pattern.parse(text).matches(message) == expected
