"""What `clary run` shows: a line for each stage, whatever the terminal is like."""

from __future__ import annotations

import io
import re
from datetime import datetime, timezone

import pytest
from rich.console import Console

from clary.cli.run_view import RunView, picture_table
from clary.formats.workflow_record import StageName, StageRecord
from clary.sdk.workflow.plan import WorkflowPlan
from clary.sdk.workflow.stage import Progress

PLAN = WorkflowPlan(name="photos", location="/photos", options={}, until="train")
LONG = "397 pictures of 2 classes: 244 to learn from, 153 to tune by, 0 held out; 1 warning"


def done(stage: StageName, sentence: str = LONG) -> StageRecord:
    return StageRecord(
        stage=stage,
        status="done",
        inputs="",
        sentence=sentence,
        seconds=4.14,
        began=datetime.now(tz=timezone.utc),
    )


def drawn(view: RunView, console: Console) -> list[str]:
    with console.capture() as captured:
        console.print(view)
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_lines_fit_the_terminal(width: int) -> None:
    console = Console(width=width, force_terminal=True, file=io.StringIO(), color_system=None)
    view = RunView(console, PLAN)
    with console.capture() as captured:
        view.began("check")
        view.ended(done("check"), kept=False)
        view.draw()
    lines = captured.get().splitlines()
    assert lines[0].startswith("✔ check ")
    assert lines[0].endswith("4.1 s")
    assert max(map(len, lines)) <= width - len("^C")  # which a terminal writes behind them
    assert " ".join(" ".join(lines).split()).replace(" 4.1 s", "").endswith(LONG[-10:])


def test_the_stage_under_way_and_those_that_wait() -> None:
    console = Console(width=80, force_terminal=True, file=io.StringIO(), color_system=None)
    view = RunView(console, PLAN)
    view.began("check")
    view.ended(done("check"), kept=True)
    view.began("tune")
    view.told("tune", "8 trials of lr as photos-1")
    assert "8 trials of lr as photos-1" in drawn(view, console)[0]
    view.moved("tune", Progress("best 0.9778", 5, 8))
    first, second = drawn(view, console)
    assert first[2:].startswith("tune      best 0.9778")
    assert "5/8" in first
    assert re.search(r" \d+ s$", first)
    assert second.split() == ["·", "train"]
    assert view.kept_all


def test_a_terminal_without_unicode() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(width=80, force_terminal=True, file=file, color_system=None)
    view = RunView(console, PLAN)
    view.began("check")
    assert "\n".join(drawn(view, console)).isascii()
    view.ended(done("check"), kept=False)
    view.draw()
    assert file.buffer.getvalue().startswith(b"* check ")  # type: ignore[attr-defined]


def test_plain_lines_without_a_terminal() -> None:
    file = io.StringIO()
    view = RunView(Console(width=20, file=file), PLAN)
    with view:
        view.began("check")
        view.moved("check", Progress("looking", 1, 2))
        view.ended(done("check"), kept=True)
        view.left_out("tune", "--trials is 0")
        view.began("train")
        view.told("train", "5 epochs as photos-1")
        view.ended(done("train", "5 epochs"), kept=False)
    assert file.getvalue().splitlines() == [
        f"check     {LONG} (kept)",
        "tune      left out: --trials is 0",
        "train     5 epochs as photos-1 …",
        "train     5 epochs (4.1 s)",
    ]
    assert not view.kept_all


def test_pictures_with_their_right_labels_beside_both_answers() -> None:
    console = Console(width=60, file=io.StringIO())
    rows = [("bees-1.jpg", "bees", "ants", 0.704, "ants", 0.7041)]
    with console.capture() as captured:
        console.print(picture_table("held-out", rows))
    heading, row = captured.get().splitlines()
    assert heading.split("  ")[0] == "held-out picture"
    assert row.split() == ["bees-1.jpg", "bees", "ants", "70.4%", "ants", "70.4%"]
