"""Constraints of the models: every pattern can be read, and AWS's words for every kind."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.model import Shape
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.service.faults import Fault
from clary.service.protocol.java_patterns import compiled, matches
from clary.service.protocol.models import SERVICES, service_model
from clary.service.protocol.validation import validate
from tests.service.protocol.shapes import ANY_TEXT, Values

VALUES = Values(text=ANY_TEXT, empty=True, seconds=False)


def message(service: str, operation: str, **parameters: Any) -> str:
    with pytest.raises(Fault) as caught:
        validate(service, service_model(service).operation_model(operation), parameters)
    return caught.value.message


def shapes(service: str) -> list[Shape]:
    model = service_model(service)
    return [model.shape_for(name) for name in model.shape_names]


@pytest.mark.parametrize("service", SERVICES)
def test_every_pattern_of_the_models_can_be_read(service: str) -> None:
    for pattern in {shape.metadata.get("pattern") for shape in shapes(service)} - {None}:
        compiled(pattern)


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "words"),
    [
        (
            "sagemaker",
            "DescribeTrainingJob",
            {},
            "1 validation error detected: Value null at 'trainingJobName' failed to satisfy "
            "constraint: Member must not be null",
        ),
        (
            "sagemaker",
            "DescribeTrainingJob",
            {"TrainingJobName": "a_b"},
            "1 validation error detected: Value 'a_b' at 'trainingJobName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: "
            "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        ),
        (
            "sagemaker",
            "ListTrainingJobs",
            {"MaxResults": 101, "StatusEquals": "Done"},
            "2 validation errors detected: Value '101' at 'maxResults' failed to satisfy "
            "constraint: Member must have value less than or equal to 100; Value 'Done' at "
            "'statusEquals' failed to satisfy constraint: Member must satisfy enum value set: "
            "[InProgress, Completed, Failed, Stopping, Stopped, Deleting]",
        ),
        (
            "logs",
            "CreateLogGroup",
            {"logGroupName": ""},
            "2 validation errors detected: Value '' at 'logGroupName' failed to satisfy "
            "constraint: Member must have length greater than or equal to 1; Value '' at "
            "'logGroupName' failed to satisfy constraint: Member must satisfy regular expression "
            r"pattern: [\.\-_/#A-Za-z0-9]+",
        ),
        (
            "sts",
            "AssumeRole",
            {"RoleArn": "short", "RoleSessionName": "good", "DurationSeconds": 1},
            "2 validation errors detected: Value 'short' at 'roleArn' failed to satisfy "
            "constraint: Member must have length greater than or equal to 20; Value '1' at "
            "'durationSeconds' failed to satisfy constraint: Member must have value greater than "
            "or equal to 900",
        ),
    ],
)
def test_the_words_are_those_of_aws(
    service: str, operation: str, parameters: dict[str, Any], words: str
) -> None:
    assert message(service, operation, **parameters) == words


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ([{"Key": "k"}], "Value null at 'tags.1.member.value' failed"),
        (
            [{"Key": "good", "Value": "v"}, {"Key": "k" * 129, "Value": "v"}],
            "at 'tags.2.member.key' failed to satisfy constraint: Member must have length less "
            "than or equal to 128",
        ),
        (
            [{"Key": "semi;colon", "Value": "v"}],
            "Value 'semi;colon' at 'tags.1.member.key' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: ",
        ),
    ],
)
def test_members_of_lists_are_numbered(tags: list[dict[str, str]], words: str) -> None:
    arn = "arn:aws:sagemaker:us-east-1:000000000000:training-job/x"
    assert words in message("sagemaker", "AddTags", ResourceArn=arn, Tags=tags)


@given(key=st.text(st.characters(categories=("L", "N", "Zs")), min_size=1, max_size=20))
def test_letters_of_every_alphabet_may_be_tags(key: str) -> None:
    arn = "arn:aws:sagemaker:us-east-1:000000000000:training-job/x"
    parameters = {"ResourceArn": arn, "Tags": [{"Key": key, "Value": key}]}
    validate("sagemaker", service_model("sagemaker").operation_model("AddTags"), parameters)


@pytest.mark.parametrize("service", ["s3", "sts", "iam", "cloudwatch", "logs", "sagemaker"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_comes_is_judged(service: str, data: st.DataObject) -> None:
    model = service_model(service)
    operation = model.operation_model(data.draw(st.sampled_from(model.operation_names)))
    if operation.input_shape is None:
        return
    try:
        validate(service, operation, data.draw(VALUES.structure(operation.input_shape)))
    except Fault as fault:
        assert fault.status == 400
        assert " failed to satisfy constraint: " in fault.message


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        (r"\d{2}", ["12"], ["\u0661\u0662", "1", "123"]),
        (r"[\w.]+", ["a_1."], ["\u00e9", ""]),
        (r"[\p{L}\d]+", ["\u00e91"], ["-"]),
        (r"[a-z]++z?", ["abc"], ["ABC"]),
        (r"a$", ["a"], ["a\n"]),
        (r"[\u0020-\uD7FF\uD800\uDC00-\uDBFF\uDFFF]*", ["a\U0001f600"], ["\x01", "\ue000"]),
        (r"[^]\s]+", ["a"], ["]", "a b"]),
    ],
)
def test_patterns_mean_what_they_mean_in_java(
    pattern: str, fitting: list[str], others: list[str]
) -> None:
    assert all(matches(pattern, text) for text in fitting)
    assert not any(matches(pattern, text) for text in others)


def test_a_pattern_that_backtracks_without_end_is_given_up() -> None:
    begun = time.monotonic()
    assert not matches("(a+)+b", "a" * 5000)
    assert time.monotonic() - begun < 10
