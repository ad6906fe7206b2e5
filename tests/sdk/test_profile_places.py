"""Where a job's profile lies: on this machine by name or folder, and in S3, of many hosts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clary.errors import DataError, UsageError
from clary.formats.job_directory import JobDirectory
from clary.formats.rule_request import RuleConfiguration, RuleRequest, mark_ended
from clary.profiler.profile import Profile
from clary.sdk.profile_places import fetch_job_profile, fetch_profile, find_profile
from clary.sdk.session import Session
from clary.sdk.storage import upload
from clary.settings import Settings
from tests.profiler.made_profiles import MadeJob, everything, small_batches


def made_job(root: Path, *, hosts: int = 1) -> JobDirectory:
    directory = JobDirectory(root)
    directory.create()
    directory.write_inputs({"epochs": "1"}, {})
    for number in range(1, hosts + 1):
        host = root if number == 1 else root / "hosts" / f"algo-{number}"
        (host / "output" / "profiler").mkdir(parents=True)
    return directory


def test_a_job_is_found_by_its_name_its_folder_or_as_the_latest(settings: Settings) -> None:
    root = settings.jobs_dir / "photos-1"
    made_job(root, hosts=11)
    for text in ("photos-1", str(root), "latest"):
        place = find_profile(text, settings)
        assert place.name == "photos-1"
        assert place.page == root / "profile.html"
        nodes = [folder.parts[-3] for folder in place.folders]
        assert nodes == ["photos-1", *(f"algo-{number}" for number in range(2, 12))]
        assert (place.started_s, place.ended_s) == (None, None)


def test_the_service_says_when_a_job_began_and_ended(settings: Settings) -> None:
    root = settings.jobs_dir / "photos-1"
    made_job(root)
    rules = (RuleConfiguration(name="ProfilerReport", rule="ProfilerReport"),)
    request = RuleRequest(job="photos-1", rules=rules, kind="profiler", started_s=1.76e9)
    request.write(root / "rules.profiler")
    assert find_profile("photos-1", settings).started_s == 1.76e9
    assert find_profile("photos-1", settings).ended_s is None
    mark_ended(root / "rules.profiler")
    os.utime(root / "rules.profiler" / "ended", (0, 1_760_000_100))
    assert find_profile("photos-1", settings).ended_s == 1_760_000_100


def test_a_folder_of_a_command_is_a_profile(settings: Settings, tmp_path: Path) -> None:
    small_batches(tmp_path / "train-1")
    place = find_profile(str(tmp_path / "train-1"), settings)
    assert (place.name, place.folders, place.page) == ("train-1", (tmp_path / "train-1",), None)


def test_what_is_not_there_is_one_sentence(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no job in .* yet"):
        find_profile("latest", settings)
    with pytest.raises(UsageError, match="job nonsense, nor any other, in"):
        find_profile("nonsense", settings)
    JobDirectory(settings.jobs_dir / "photos-1").create()
    JobDirectory(settings.jobs_dir / "photos-1").write_inputs({}, {})
    with pytest.raises(UsageError, match="photos-1 was not profiled: `clary train` does it unless"):
        find_profile("photos-1", settings)
    with pytest.raises(UsageError, match="did you mean photos-1"):
        find_profile("photo-1", settings)
    with pytest.raises(DataError, match="there is no folder runs/1"):
        find_profile("runs/1", settings)
    with pytest.raises(DataError, match="holds nothing that a profiler recorded"):
        find_profile(str(tmp_path), settings)
    (tmp_path / "base.py").write_text("")
    with pytest.raises(DataError, match=r"base\.py is a file: give a job's name, or the folder"):
        find_profile(str(tmp_path / "base.py"), settings)


def test_what_lies_in_s3_is_parted_by_hosts(session: Session, tmp_path: Path) -> None:
    stored = tmp_path / "profiler-output"
    everything(stored)
    (stored / "timeline" / "worker_0").rename(stored / "timeline" / "algo-1-worker_0")
    other = MadeJob(stored, node="algo-2", worker="algo-2-worker_0", cores=2)
    other.train(30)
    other.end()
    (stored / "framework").mkdir()
    (stored / "framework" / "4711-algo-1.json").write_text("[]")
    bucket = session.default_bucket
    upload(session, stored, f"s3://{bucket}/jobs/photos-1/profiler-output")
    for number, end in enumerate(("", "/", "/profiler-output", "/profiler-output/")):
        uri = f"s3://{bucket}/jobs/photos-1{end}"
        place = fetch_profile(session, uri, tmp_path / f"copy-{number}")
        assert (place.name, len(place.folders)) == ("photos-1", 2)
        assert place.page == Path("photos-1-profile.html")
    first, second = Profile.open(place.folders).hosts
    assert (list(first.workers), list(second.workers)) == (["worker_0"], ["worker_0"])
    assert first.system.nodes == {"algo-1"}
    assert second.system.nodes == {"algo-2"}
    assert len(second.workers["worker_0"].steps()) == 30

    with pytest.raises(DataError, match="holds nothing that a profiler recorded: give a job's"):
        fetch_profile(session, f"s3://{bucket}/nothing", tmp_path / "empty")
    with pytest.raises(UsageError, match="is no S3 URI"):
        fetch_profile(session, "s3:/photos", tmp_path / "empty")
    with pytest.raises(UsageError, match="there is no job photos-9"):
        fetch_job_profile(session, "photos-9", tmp_path / "empty")
