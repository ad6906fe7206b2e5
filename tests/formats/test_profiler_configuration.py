"""What a profiler is asked to record, as SageMaker's clients write it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import FormatError, UsageError
from clary.formats.profiler_configuration import (
    INTERVALS_MS,
    ProfilerConfiguration,
    StepWindow,
)

# As the SDK v2 writes them, of FrameworkProfile(num_steps=10).
FRAMEWORK_PROFILE = {
    "LocalPath": "/opt/ml/output/profiler",
    "RotateMaxFileSizeInBytes": "10485760",
    "RotateFileCloseIntervalInSeconds": "60",
    "FileOpenFailThreshold": "50",
    "DetailedProfilingConfig": '{"StartStep": 0, "NumSteps": 10, }',
    "DataloaderProfilingConfig": '{"StartStep": 0, "NumSteps": 10, "MetricsRegex": ".*", }',
    "PythonProfilingConfig": '{"StartStep": 0, "NumSteps": 10, "ProfilerName": "cprofile", '
    '"cProfileTimer": "total_time", }',
    "HorovodProfilingConfig": '{"StartStep": 0, "NumSteps": 10, }',
    "SMDataParallelProfilingConfig": '{"StartStep": 0, "NumSteps": 10, }',
}


def parse(parameters=None, **more):
    content = {**more, **({} if parameters is None else {"ProfilingParameters": parameters})}
    return ProfilerConfiguration.from_request(content)


def problems(parameters=None, **more):
    with pytest.raises(UsageError) as caught:
        parse(parameters, **more)
    return str(caught.value).splitlines()


def test_what_the_sdk_sends_is_understood():
    configuration = parse(FRAMEWORK_PROFILE, S3OutputPath="s3://b/", DisableProfiler=False)
    window = StepWindow(first=0, steps=10)
    assert configuration == ProfilerConfiguration(
        operators=window,
        functions=window,
        loading=window,
        folder=Path("/opt/ml/output/profiler"),
    )
    assert parse() == ProfilerConfiguration()
    assert parse(ProfilingIntervalInMilliseconds=60000).interval_ms == 60000


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ('{"StartStep": 5, "NumSteps": 1, }', StepWindow(5, 1)),
        ('{"StartStep": 5}', StepWindow(5, 1)),
        ('{"NumSteps": 3}', StepWindow(None, 3)),
        (' { "startstep" : "5" , "numsteps": 2.0 } ', StepWindow(5, 2)),
        ('{"StartStep": None, "NumSteps": 2, }', StepWindow(None, 2)),
        ('{"StartTimeInSecSinceEpoch": 1600000000, }', StepWindow(start_s=1600000000)),
        ('{"Duration": 2.5, }', StepWindow(seconds=2.5)),
        ('{"DurationInSeconds": 2.5}', StepWindow(seconds=2.5)),
        (r'{"StartStep": 7, "NumSteps": 1, "MetricsRegex": "\w+, {2}", }', StepWindow(7, 1)),
        ("{}", None),
        ("{'StartStep': 5, 'NumSteps': None}", StepWindow(5, 1)),
        ("""{'StartStep': 5, "MetricsRegex": "it's", 'ProfilerName': 'cprofile'}""", StepWindow(5)),
    ],
)
def test_windows_are_parsed_without_evaluating_them(text, window):
    assert parse({"DetailedProfilingConfig": text}).operators == window


@pytest.mark.parametrize(
    ("parameters", "more", "said"),
    [
        ({}, {"DisableProfiler": "yes"}, "DisableProfiler is 'yes': give true or false"),
        ({}, {"ProfilingIntervalInMilliseconds": 250}, "250: give one of 100, 200, 500"),
        ({}, {"ProfilingIntervalInMilliseconds": True}, "is True: give one of"),
        ({"LocalPath": "here"}, {}, "LocalPath is 'here': give the absolute path"),
        ({"CPUProfilingDuration": "3600"}, {}, "of SageMaker Profiler, which is not offered"),
        ({"Local": "x"}, {}, "has the parameter 'Local', which is unknown: choose among"),
        ({"DetailedProfilingConfig": "import os"}, {}, "is 'import os': give a JSON object"),
        ({"DetailedProfilingConfig": '{"a": {}}'}, {}, "give a JSON object"),
        ({"DetailedProfilingConfig": 5}, {}, "is 5: give a JSON object"),
        ({"DetailedProfilingConfig": '{"Steps": 3}'}, {}, "has the key 'Steps', which is unknown"),
        (
            {"DetailedProfilingConfig": '{"StartStep": -1}'},
            {},
            "StartStep of DetailedProfilingConfig is -1: give a whole number from 0 on",
        ),
        ({"DetailedProfilingConfig": '{"NumSteps": 0}'}, {}, "is 0: give a whole number from 1 on"),
        ({"DetailedProfilingConfig": '{"NumSteps": 1.5}'}, {}, "is 1.5: give a whole number"),
        ({"DetailedProfilingConfig": '{"NumSteps": nan}'}, {}, "give a whole number from 1 on"),
        ({"DetailedProfilingConfig": '{"Duration": -2}'}, {}, "is -2: give seconds above 0"),
        (
            {"DetailedProfilingConfig": '{"StartStep": 1, "Duration": 2}'},
            {},
            "chooses steps by number (StartStep) and by time (Duration): give one of the two",
        ),
        (
            {"PythonProfilingConfig": '{"NumSteps": 1, "ProfilerName": "perf"}'},
            {},
            "ProfilerName of PythonProfilingConfig is 'perf': give cprofile or pyinstrument",
        ),
        (
            {"PythonProfilingConfig": '{"NumSteps": 1, "cProfileTimer": "moon"}'},
            {},
            "is 'moon': give one of total_time, cpu_time",
        ),
        (
            {"DataloaderProfilingConfig": '{"NumSteps": 1, "MetricsRegex": "("}'},
            {},
            "MetricsRegex of DataloaderProfilingConfig is '(': give a regular expression",
        ),
        (
            {"DetailedProfilingConfig": '{"MetricsRegex": "a{99999999999999999999}"}'},
            {},
            "is 'a{99999999999999999999}': give a regular expression",
        ),
        (
            {"DetailedProfilingConfig": '{"MetricsRegex": "' + "(" * 5000 + ")" * 5000 + '"}'},
            {},
            "give a regular expression",
        ),
        (
            {"localpath": "/a", "LocalPath": "/b"},
            {},
            "has LocalPath twice, once as 'LocalPath': give it once",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence(parameters, more, said):
    (line,) = problems(parameters, **more)
    assert said in line


def test_names_are_those_of_awss_reference_in_any_case():
    shape = (
        botocore.session.get_session().get_service_model("sagemaker").shape_for("ProfilerConfig")
    )
    told = shape.members["ProfilingParameters"].documentation
    named = set(re.findall(r"<code>(\w+Config)</code>", told))
    assert "DataLoaderProfilingConfig" in named
    window = StepWindow(5, 2)
    given = {name: window.as_parameter() for name in named}
    expected = ProfilerConfiguration(operators=window, functions=window, loading=window)
    assert parse(given) == expected
    assert parse({name.upper(): text for name, text in given.items()}) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HorovodProfilingConfig", '{"StartStep": 1, "Duration": 2}'),
        ("SMDataParallelProfilingConfig", "?"),
        ("RotateMaxFileSizeInBytes", "0"),
        ("FileOpenFailThreshold", "none"),
    ],
)
def test_what_has_no_effect_is_not_judged(name, text):
    assert parse({name: text}) == ProfilerConfiguration()


def test_every_problem_has_a_line():
    lines = problems(
        {"LocalPath": "x", "DetailedProfilingConfig": "?"},
        DisableProfiler=1,
        ProfilingIntervalInMilliseconds="fast",
    )
    assert len(lines) == 4
    assert problems("text") == ["ProfilingParameters is 'text': give an object of texts"]


def test_the_file_of_a_job(tmp_path):
    path = tmp_path / "profilerconfig.json"
    with pytest.raises(FormatError, match="is missing"):
        ProfilerConfiguration.read(path)
    path.write_text("[]")
    with pytest.raises(FormatError, match="is not a JSON object"):
        ProfilerConfiguration.read(path)
    path.write_text(json.dumps({"DisableProfiler": True}))
    assert ProfilerConfiguration.read(path).disabled


steps = st.builds(StepWindow, first=st.integers(0, 10**6), steps=st.integers(1, 1000))
times = st.builds(
    StepWindow,
    start_s=st.floats(0, 2e9),
    seconds=st.floats(1e-3, 1e6),
)
windows = st.one_of(st.none(), steps, times)


@given(
    configuration=st.builds(
        ProfilerConfiguration,
        disabled=st.booleans(),
        interval_ms=st.sampled_from(INTERVALS_MS),
        operators=windows,
        loading=windows,
        functions=windows,
        folder=st.sampled_from([None, Path("/opt/ml/output/profiler")]),
    )
)
def test_a_request_says_what_it_was_made_from(configuration):
    assert ProfilerConfiguration.from_request(configuration.as_request()) == configuration


def test_a_window_by_samples_goes_there_and_back():
    configuration = ProfilerConfiguration(functions=StepWindow(1, 2), functions_by="sampling")
    assert ProfilerConfiguration.from_request(configuration.as_request()) == configuration


@given(first=st.integers(0, 50), steps=st.integers(1, 50), step=st.integers(0, 150))
def test_steps_of_a_window_by_number(first, steps, step):
    window = StepWindow(first=first, steps=steps)
    begun = window.has_begun(step, 0.0)
    over = window.is_over(step, 0.0, first=first, started_s=0.0)
    assert (begun and not over) == (first <= step < first + steps)


def test_steps_of_a_window_by_time():
    window = StepWindow(start_s=100.0, seconds=10.0)
    assert [window.has_begun(0, now) for now in (99.0, 100.0)] == [False, True]
    over = [window.is_over(9, now, first=3, started_s=101.0) for now in (109.0, 110.0)]
    assert over == [False, True]
    alone = StepWindow(start_s=100.0)
    assert [alone.is_over(step, 100.0, first=3, started_s=100.0) for step in (3, 4)] == [
        False,
        True,
    ]
    assert StepWindow(seconds=2.0).is_over(0, 12.0, first=0, started_s=10.0)
