from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from clary.formats.findings import Finding
from clary.formats.timeline import Mode, StepRecord, TimelineWriter
from clary.jobs.profile_report import write_page
from clary.jobs.profile_report.material import Material, gather
from clary.jobs.profile_report.page import draw, render
from clary.jobs.profile_report.verdict import headline
from clary.profiler.diagnosis import Diagnosis
from clary.profiler.profile import Host, JobTimes, Profile
from clary.profiler.rules import BUILT_IN
from clary.profiler.rules.rule import Judgement, Moment
from tests.jobs.pages.page_reader import Page
from tests.profiler.made_profiles import MADE, START_S, MadeJob, everything, leaking, slow_loading

SECTIONS = {
    "verdict", "time", "step", "steps", "machine", "loading", "memory", "operators", "functions",
    "rules", "job",
}  # fmt: skip


def judged(profile: Profile) -> Material:
    bounds = profile.bounds
    moment = Moment(bounds[1] if bounds else START_S, ended=True)
    return gather(profile, {name: kind().judge(profile, moment) for name, kind in BUILT_IN.items()})


def page_of(material: Material) -> Page:
    return Page(render(material, draw(material)))


def only_eval(folder: Path) -> Profile:
    job = MadeJob(folder)
    job.initialize(2.0)
    job.evaluate(30, 0.05, span=False)
    return job.end()


def one_step(folder: Path) -> Profile:
    job = MadeJob(folder)
    job.train(1)
    return job.end(finalize=0.0)


def merged_steps(folder: Path) -> Profile:
    job = MadeJob(folder)
    job.train(20_000, data=1e-6, forward=1e-5, backward=1e-5, optimizer=1e-5, own=0, merged=500)
    return job.end()


def head_on_features(folder: Path) -> Profile:
    job = MadeJob(folder)
    job.initialize(4.0)
    job.span("features", 12.0)
    for _ in range(5):
        job.train(500, data=1e-5, forward=2e-4, backward=2e-4, optimizer=1e-4, own=0, merged=50)
        job.evaluate(1, 0.05)
    return job.end()


def still_running(folder: Path) -> Profile:
    job = MadeJob(folder)
    job.initialize(3.0)
    job.train(40)
    return job.end(ended=False)


def machine_alone(folder: Path) -> Profile:
    job = MadeJob(folder)
    job.pass_time(20.0)
    return job.end()


def nothing(folder: Path) -> Profile:
    return Profile.open([folder / "never"], JobTimes("nothing"))


def steps_without_phases(folder: Path) -> Profile:
    writer = TimelineWriter(folder)
    writer.write_steps(
        [StepRecord(Mode.TRAIN, k, round((START_S + k) * 1e6), 1.0, 1.0) for k in range(8)]
    )
    writer.close()
    return Profile.open([folder])


SHORT: dict[str, Callable[[Path], Profile]] = {
    one.__name__: one
    for one in (
        only_eval, one_step, merged_steps, head_on_features, still_running, machine_alone, nothing,
        steps_without_phases,
    )
}  # fmt: skip


@pytest.mark.parametrize("made", [*MADE, *SHORT])
def test_every_job_has_a_whole_page(tmp_path: Path, made: str) -> None:
    profile = {**MADE, **SHORT}[made](tmp_path / "profiler")
    text = render(material := judged(profile), draw(material))
    page = Page(text)
    assert set(page.values("id")) >= SECTIONS
    drawn = [*page.values("d"), *page.values("style"), *page.values("x"), *page.values("width")]
    assert not any(re.search(r"\b(nan|inf|None)\b", value) for value in drawn)
    assert not re.search(r"\b(nan|inf|None|NaN)\b", page.text)
    assert "http" not in text.replace("http-equiv", "")


def test_the_page_tells_all_that_was_recorded(tmp_path: Path) -> None:
    page = page_of(judged(everything(tmp_path)))
    for words in (
        "waiting for data", "GPU 0 memory", "aten::convolution_backward", "resnet.py:266",
        "Steps that took far longer", "worker 3", "evaluation", "checkpoints", "python train.py",
        "LowGPUUtilization", "threshold_ p95 70",
    ):  # fmt: skip
        assert words in page.text, words
    assert "missing" not in page.values("class")


def test_features_have_their_place_in_the_bar(tmp_path: Path) -> None:
    material = judged(head_on_features(tmp_path))
    bar = draw(material).bar
    assert bar is not None
    parts = {part.kind: part.seconds for part in bar.parts}
    assert abs(parts["features"] - 12.0) < 0.1
    assert abs(sum(parts.values()) - material.breakdown.job_s) < 0.1
    assert [kind for kind, _ in bar.within] == ["features", "evaluation"]
    assert "computing features" in page_of(material).text


def test_what_is_missing_is_said_with_what_to_switch_on(tmp_path: Path) -> None:
    page = page_of(judged(machine_alone(tmp_path)))
    assert "No training step was seen" in page.text
    assert "clary train --profile full" in page.text
    assert "clary exec --profile -- python train.py" in page.text
    page = page_of(judged(steps_without_phases(tmp_path / "steps")))
    assert "The machine was not sampled" in page.text


def test_the_headline_names_the_cause_and_what_is_within_reach(tmp_path: Path) -> None:
    material = judged(slow_loading(tmp_path))
    head = draw(material).headline
    assert re.fullmatch(r"6\d\u202f% of the training waits for data|5\d.*", head.text)
    assert head.gain is not None
    assert head.gain > 1.3
    assert "as fast is within reach" in page_of(material).text


def test_idle_cores_are_no_idle_accelerator(tmp_path: Path) -> None:
    cores = Diagnosis("device_idle", "few cores are busy", "take more", 0.8, rule="BatchSize")
    idle = replace(cores, rule="LowGPUUtilization")
    material = judged(MADE["well_built"](tmp_path / "cpu"))
    assert "The cores are idle for 80" in headline(replace(material, diagnoses=(cores,))).text
    assert "beside an idle GPU" in headline(replace(material, diagnoses=(idle,))).text
    material = judged(MADE["idle_gpu"](tmp_path / "gpu"))
    assert "The accelerator is idle" in headline(replace(material, diagnoses=(idle,))).text
    slept = Diagnosis("own_code", "neither steps nor evaluations were seen", "see why", 0.9)
    assert headline(replace(material, diagnoses=(slept,))).text.startswith("Nothing was seen of 90")


def test_the_bar_leaves_out_a_first_step_that_warms_up(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.train(1, forward=20.0)
    job.train(9)
    material = judged(job.end())
    bar = draw(material).step
    assert bar is not None
    assert bar.steps == 9
    assert bar.seconds < 2 * material.breakdown.step_s
    assert "9 steps, without the first" in page_of(material).text


@pytest.mark.parametrize("bytes_s", [0.0, 8e6])
def test_memory_grows_where_the_verdict_says_so(tmp_path: Path, bytes_s: float) -> None:
    material = judged(leaking(tmp_path, bytes_s=bytes_s))
    rows = {row.label: row.growth for row in draw(material).memory}
    told = any(one.cause == "memory_leak" for one in material.diagnoses)
    grows = [text for text in rows.values() if text is not None and text.startswith("+")]
    assert bool(grows) == told == bool(bytes_s), rows


def test_a_job_is_called_healthy_only_where_enough_of_it_was_seen(tmp_path: Path) -> None:
    assert draw(judged(MADE["well_built"](tmp_path / "long"))).headline.healthy
    short = draw(judged(one_step(tmp_path / "short"))).headline
    assert "Too little" in short.text
    assert not short.healthy


def test_findings_stand_before_the_table_of_rules(tmp_path: Path) -> None:
    finding = Finding(rule="IOBottleneck", kind="issue", message="it reads <b>all</b> day",
                      cause="a slow disk", remedy="copy the pictures")  # fmt: skip
    material = judged(slow_loading(tmp_path))
    held = {**material.judgements, "IOBottleneck": Judgement(7, 100, (finding,))}
    page = page_of(replace(material, judgements=held))
    assert "It reads <b>all</b> day." in page.text
    assert "Try Copy the pictures." in page.text
    rows = [k for k, (tag, attrs) in enumerate(page.tags) if attrs.get("class") == "fired"]
    assert rows


def test_hosts_and_processes_are_told_apart(tmp_path: Path) -> None:
    hosts = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        job = MadeJob(folder, node=f"algo-{number}", worker=f"worker_{number - 1}", gpus=2)
        job.initialize(2.0)
        job.train(50)
        job.end()
        hosts.append(Host(f"algo-{number}", folder))
    profile = Profile(hosts, JobTimes("two", START_S, START_S + 20))
    profile.refresh()
    page = page_of(judged(profile))
    for words in ("algo-1 · worker_0", "algo-2 · worker_1", "GPU 1", "2 on 2 hosts"):
        assert words in page.text, words


def test_many_gpus_are_drawn_as_one(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, gpus=6)
    job.train(50)
    drawn = draw(judged(job.end()))
    lanes = {lane.title: lane for lane in drawn.lanes}
    assert [curve.label for curve in lanes["GPU"].curves] == ["all 6"]
    assert [curve.label for curve in lanes["GPU memory"].curves] == ["all 6"]
    assert sum(row.label.startswith("GPU") for row in drawn.usage) == 12


def test_a_page_is_one_file_of_the_job_that_is_replaced(tmp_path: Path) -> None:
    material = judged(slow_loading(tmp_path / "job"))
    path = write_page(material, tmp_path / "deep" / "page.html")
    write_page(material, path)
    assert [one.name for one in path.parent.iterdir()] == ["page.html"]
    assert len(path.read_bytes()) < 400_000


def test_a_long_job_stays_small_and_keeps_its_one_long_step(tmp_path: Path) -> None:
    job = MadeJob(tmp_path, cores=2, interval_s=20.0)
    for _ in range(5):
        job.train(20_000, noise=0.0)
        job.evaluate(5, 0.06)
    job.train(1, own=30.0)
    job.train(10)
    material = judged(job.end())
    text = render(material, draw(material))
    assert len(text.encode()) < 1_000_000
    assert "30 s" in Page(text).text
