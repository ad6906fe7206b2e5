"""Devices that nothing uses, and starts that others held up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from clary.formats.timeline import Loading
from clary.profiler.diagnosis import diagnose, verdict
from clary.profiler.rules import BUILT_IN
from clary.profiler.rules.rule import Moment
from tests.profiler.made_profiles import Machine, MadeJob


def test_a_training_on_the_processor_beside_an_idle_gpu(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, gpus=1, machine=Machine(cpu=99.0, gpu=0.0, gpu_memory=1.0, noise=0.3))
    job.facts = replace(job.facts, device="cpu")
    job.initialize(4.0)
    job.train(300)
    profile = job.end()
    (found,) = diagnose(profile)
    assert found.evidence == "the training computes on the processor while gpu0 is idle"
    assert ".to('cuda')" in found.change
    assert "well built" not in verdict(profile)[2]
    moment = Moment(job.now, ended=True)
    told = {
        name: [one for one in rule().judge(profile, moment).findings if one.kind == "issue"]
        for name, rule in BUILT_IN.items()
    }
    # No rule says that the processor could not feed a GPU that nothing was sent to.
    assert told["CPUBottleneck"] == []
    assert "computes on the processor" in str(told["LowGPUUtilization"][0].cause)
    assert [name for name, found in told.items() if found] == ["LowGPUUtilization"]


def test_a_loader_that_waits_explains_idle_cores(tmp_path: Path) -> None:
    loading = Loading("DataLoader", workers=4)
    job = MadeJob(tmp_path, cores=2, loading=loading, machine=Machine(cpu=20.0))
    job.train(150, data=1.0)
    assert [one.cause for one in diagnose(job.end())] == ["data_loading"]


def test_a_start_that_others_held_up_is_not_the_scripts(tmp_path: Path) -> None:
    busy = Machine(cpu=98.0, process=20.0)
    job = MadeJob(tmp_path)
    job.span("initialization", 60.0, label="import torch", machine=busy)
    job.train(200)
    assert diagnose(job.end()) == ()
