"""Memory that grows: where, and what it may be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from clary.formats.timeline import Loading
from clary.profiler.diagnosis import diagnose
from clary.profiler.profile import Host, Profile
from tests.profiler.made_profiles import MadeJob


def test_a_leak_on_another_host_than_the_first(tmp_path: Path) -> None:
    hosts = []
    for number, leak in ((1, 0.0), (2, 8e6)):
        folder = tmp_path / str(number)
        worker = f"worker_{number - 1}"
        job = MadeJob(folder, node=f"algo-{number}", worker=worker, leak_bytes_s=leak)
        job.train(300)
        job.end()
        hosts.append(Host(f"algo-{number}", folder))
    profile = Profile(hosts)
    profile.refresh()
    (found,) = diagnose(profile)
    assert found.evidence.startswith("the job's memory on algo-2 grows by 48")


def test_what_a_short_healthy_job_gathers_is_no_leak(tmp_path: Path) -> None:
    """51 MB in 42 s were seen of a fine-tune that was well built."""
    job = MadeJob(tmp_path, leak_bytes_s=1.2e6)
    job.train(420)
    assert diagnose(job.end()) == ()


def test_in_the_first_epoch_it_may_be_a_cache(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, leak_bytes_s=8e6)
    job.facts = replace(job.facts, steps_per_epoch=400)
    job.train(300)
    (found,) = diagnose(job.end())
    assert found.change.startswith("see whether that is a cache")


def test_clarys_own_options(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, loading=Loading("clary", workers=4), leak_bytes_s=8e6)
    job.train(300)
    (found,) = diagnose(job.end())
    assert "CLARY_CACHE_GB" in found.change
    assert "loss.item()" not in found.change


def test_clarys_own_cache_fills_in_its_first_epoch(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, loading=Loading("clary", workers=4), leak_bytes_s=8e6)
    job.facts = replace(job.facts, steps_per_epoch=400)
    job.train(300)
    assert diagnose(job.end()) == ()
