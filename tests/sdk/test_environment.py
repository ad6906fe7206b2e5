"""Taking AWS and giving it back, in mappings and in real shells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from clary.errors import UsageError
from clary.formats.client_environment import SHIMS
from clary.formats.service_record import ServiceRecord
from clary.sdk.environment import (
    REMEMBERED,
    changed,
    commands,
    give_back_aws,
    take_aws,
    usual_shell,
)
from clary.settings import Settings

RECORD = ServiceRecord(version="1", pid=1, host="127.0.0.1", port=7788, started="")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"))


names = st.sampled_from(
    [
        "PATH",
        "PYTHONPATH",
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL_S3",
        "AWS_USE_FIPS_ENDPOINT",
        "HTTP_PROXY",
        "NO_PROXY",
        "no_proxy",
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE",
        "CLARY_HOME",
    ]
)
environments = st.dictionaries(names, st.text(st.characters(codec="ascii"), max_size=12))


@given(before=environments)
def test_giving_back_leaves_what_was_there(settings: Settings, before: dict[str, str]) -> None:
    once = changed(before, take_aws(settings, RECORD, before))
    twice = changed(once, take_aws(settings, RECORD, once))
    assert once == twice
    assert once["AWS_ENDPOINT_URL"] == RECORD.url
    assert changed(once, give_back_aws(once)) == before


def test_what_would_lead_elsewhere_does_not_count(settings: Settings) -> None:
    before = {
        "AWS_ENDPOINT_URL_S3": "http://minio:9000",
        "AWS_SESSION_TOKEN": "of other keys",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "PYTHONPATH": f"/a{os.pathsep}{SHIMS}{os.pathsep}/b",
        "HTTPS_PROXY": "http://proxy",
        "no_proxy": "intern",
    }
    after = changed(before, take_aws(settings, RECORD, before))
    assert after["AWS_ENDPOINT_URL_S3"] == RECORD.url
    assert "AWS_SESSION_TOKEN" not in after
    assert after["AWS_USE_FIPS_ENDPOINT"] == "false"
    assert after["PYTHONPATH"].split(os.pathsep) == [str(SHIMS), "/a", "/b"]
    assert after["NO_PROXY"] == after["no_proxy"] == "127.0.0.1,localhost,intern"
    assert Path(after["SAGEMAKER_ADMIN_CONFIG_OVERRIDE"]).is_file()


def test_nothing_is_given_back_where_nothing_was_taken() -> None:
    assert give_back_aws({"PATH": "/bin"}) == {}
    with pytest.raises(UsageError, match="open a new shell"):
        give_back_aws({REMEMBERED: "{"})


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish"])
@settings_of_hypothesis(max_examples=8, deadline=None)
@given(value=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_a_shell_reads_what_was_meant(shell: str, value: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    text = commands({"CLARY_TEST": value, "GONE": None}, shell)  # type: ignore[arg-type]
    script = f"{text}\n{sys.executable} -c 'import os, json; print(json.dumps(dict(os.environ)))'"
    ended = subprocess.run(
        [program, "-c", script],
        env={"GONE": "x", "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=True,
    )
    found = json.loads(ended.stdout)
    assert found["CLARY_TEST"] == value
    assert "GONE" not in found


def test_the_shell_is_the_one_of_the_environment() -> None:
    assert usual_shell({"SHELL": "/usr/bin/fish"}) == "fish"
    assert usual_shell({"SHELL": "/bin/tcsh"}) == usual_shell({}) == "bash"
