"""The SDK against a running service: a script of one's own, from fit to its files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from clary.errors import DataError, ServiceError, UsageError
from clary.formats.job_directory import JobDirectory
from clary.sdk.estimator import Estimator
from clary.sdk.job_listing import list_jobs, named_or_latest
from clary.sdk.session import Session
from clary.sdk.training_job import TrainingJob

SCRIPT = """
import argparse, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("--word")
word = parser.parse_args().word
for step in range(3):
    print(f"{word} loss={1 / (step + 1):.2f}", flush=True)
found = sorted(os.listdir(os.environ["SM_CHANNEL_TRAINING"]))
print("found", *found)
if word == "fail":
    sys.exit("nothing can be done")
open(os.path.join(os.environ["SM_MODEL_DIR"], "model.txt"), "w").write(word)
open(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "notes.txt"), "w").write("beside")
"""


@pytest.fixture
def estimator(session: Session, tmp_path: Path) -> Estimator:
    (tmp_path / "script.py").write_text(SCRIPT)
    return Estimator(
        session,
        image="pytorch-training:2.8",
        entry_point=str(tmp_path / "script.py"),
        hyperparameters={"word": "learned"},
        metrics={"loss": r"loss=([0-9.]+)"},
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"one")
    return folder


def test_from_fit_to_files(
    estimator: Estimator, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job = estimator.fit(photos, name="first")
    shown = capfd.readouterr().out
    assert "learned loss=1.00" in shown
    assert "found 1.jpg" in shown
    found = job.description()
    assert (found.status, found.metrics) == ("Completed", {"loss": 0.33})
    assert [line.message for line in job.lines()].count("learned loss=0.50") == 1
    assert {line.host for line in job.lines()} == {"algo-1"}
    job.download(tmp_path / "fetched")
    fetched = JobDirectory(tmp_path / "fetched")
    assert (fetched.model / "model.txt").read_text() == "learned"
    assert (fetched.output_data / "notes.txt").read_text() == "beside"
    times, values = zip(*job.metric_history("loss"), strict=True)
    assert list(times) == sorted(times)
    assert all(0.3 < value <= 1 for value in values)
    with pytest.raises(UsageError, match="the job first has no report of the profiler: give it"):
        job.profiler_report()
    job.stop()  # it has ended: nothing to stop
    assert [other.name for other in list_jobs(job.session)] == ["first"]
    assert named_or_latest(job.session, "latest") == "first"
    job.delete()
    assert list(list_jobs(job.session)) == []


def test_a_script_that_fails_says_why(estimator: Estimator, photos: Path) -> None:
    failing = replace(estimator, hyperparameters={"word": "fail"})
    with pytest.raises(ServiceError, match=r"(?s)ended as Failed: .*nothing can be done"):
        failing.fit(photos, name="second", logs=False)
    with pytest.raises(UsageError, match="there is a job second already"):
        failing.fit(photos, name="second")


def test_what_cannot_be_started_is_one_sentence(
    estimator: Estimator, session: Session, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        estimator.fit(tmp_path / "nothing")
    with pytest.raises(UsageError, match="there is no script"):
        Estimator(session, entry_point=str(tmp_path / "no.py")).fit()
    with pytest.raises(UsageError, match="there is no job other"):
        TrainingJob(session, "other").description()
    with pytest.raises(ServiceError, match="1 validation error detected: Value 'huge'"):
        Estimator(session, image="x", instance_type="huge").fit(name="third")


EXTENSION = """
import os, boto3, clary
earlier = boto3.client("s3")
clary.load_ipython_extension(None)
print(boto3.client("sts", endpoint_url="https://sts.amazonaws.com").get_caller_identity()["Account"])
try:
    earlier.list_buckets()
except Exception as error:
    print(type(error).__name__)
clary.unload_ipython_extension(None)
print(boto3.client("s3").meta.endpoint_url, os.environ["AWS_ACCESS_KEY_ID"])
"""


def test_a_running_notebook_takes_aws_and_gives_it_back(
    clary_environment: Mapping[str, str],
) -> None:
    own = {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-west-1"}
    own["AWS_DEFAULT_REGION"] = "eu-west-1"
    ended = subprocess.run(
        [sys.executable, "-c", EXTENSION],
        env={**clary_environment, **own},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("Started the Clary service on")
    assert lines[1].startswith("AWS is Clary on http://127.0.0.1:")
    assert lines[2:] == [
        "000000000000",
        "RefusedByClary",
        "https://s3.eu-west-1.amazonaws.com mine",
    ]
