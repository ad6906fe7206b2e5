"""What `clary run` says at its end: lines that a shell takes as they stand."""

from __future__ import annotations

import io
import shlex
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console

from clary.cli.run_end import print_end
from clary.formats.workflow_record import (
    AskedPicture,
    Deployed,
    Found,
    Predicted,
    Reported,
    StageRecord,
    Trained,
    WorkflowRecord,
)
from clary.sdk.workflow.plan import WorkflowPlan
from clary.settings import Settings

PICTURE = AskedPicture(
    file="ants-1.jpg",
    label="ants",
    answer="ants",
    probability=0.9,
    boto3_answer="ants",
    boto3_probability=0.9,
)
TIME = "51 % of the time went into the forward pass of the backbone, 22 % into decoding pictures"


def said(
    plan: WorkflowPlan, settings: Settings, *found: Found, width: int = 80
) -> tuple[list[str], dict[str, str]]:
    """All lines, and those that have a name, by it."""
    began = datetime.now(tz=timezone.utc)
    stages = tuple(
        StageRecord(stage=one.stage, status="done", inputs="", began=began, found=one)
        for one in found
    )
    record = WorkflowRecord(name=plan.name, data=plan.location, stages=stages)
    console = Console(width=width, file=io.StringIO(), highlight=False)
    with console.capture() as captured:
        print_end(console, plan, record, settings, seconds=75, kept=False)
    lines = captured.get().splitlines()
    return lines, {line[:9].strip(): line[10:] for line in lines if line[:1].islower()}


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with a space in its path, below the folder that ~ stands for."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return Settings(home=tmp_path / "my home")


def test_what_is_to_be_copied_is_one_line_whatever_the_width(
    at_home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    plan = WorkflowPlan(name="photos", location="/photos", options={})
    found = (Trained(job="photos-1", time=TIME), Deployed(endpoint="photos"))
    predicted = Predicted(pictures=(PICTURE,))
    for width in (40, 80, 200):
        lines, named = said(plan, at_home, *found, predicted, width=width)
        folder = at_home.home / "runs" / "photos"
        command, picture = named["boto3"], folder / "pictures" / "ants-1.jpg"
        assert command.startswith("clary exec -- python ~/'my home/runs/photos/ask.py' photos ~/")
        words = [str(Path(word).expanduser()) for word in shlex.split(command)[4:]]
        assert words == [str(folder / "ask.py"), "photos", str(picture)]
        assert shlex.split(named["predict"])[:3] == ["clary", "predict", "photos"]
        assert named["delete"] == "clary endpoints delete photos"
        assert named["see"] == "clary debug photos-1"
        # What is only read is broken between words.
        assert max(len(line) for line in lines if TIME.split()[3] in line) <= width
        assert lines[-1] == "photos is done in 1:15"


def test_an_interpreter_that_no_shell_finds_is_named_by_its_path(
    at_home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    plan = WorkflowPlan(name="photos", location="/photos", options={}, until="deploy")
    _, named = said(plan, at_home, Deployed(endpoint="photos"))
    assert shlex.split(named["boto3"])[3:] == [
        sys.executable,
        "~/my home/runs/photos/ask.py",
        "photos",
        "PICTURE",
    ]
    assert named["predict"] == "clary predict photos PICTURE…"


def test_stages_that_were_left_out_are_named(settings: Settings) -> None:
    plan = WorkflowPlan(name="photos", location="/photos", options={}, until="report")
    lines, named = said(plan, settings, Reported(page="/report.html", tuning_page="/tuning.html"))
    assert (named["report"], named["tuning"]) == ("/report.html", "/tuning.html")
    assert lines[-1] == "Without --until, deploy and predict would follow"


@pytest.mark.parametrize(("split", "heading"), [("test", "held-out"), ("valid", "validation")])
def test_pictures_are_called_after_their_split(
    settings: Settings, split: Literal["test", "valid"], heading: str
) -> None:
    plan = WorkflowPlan(name="photos", location="/photos", options={})
    lines, _ = said(plan, settings, Predicted(split=split, pictures=(PICTURE,)))
    assert lines[1].startswith(f"{heading} picture  is ")
