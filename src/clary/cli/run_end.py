"""What `clary run` says at its end: what there is now, and what to type with it."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from pathlib import Path

from rich.console import Console
from rich.text import Text

from clary.cli.run_view import picture_table
from clary.cli.short_paths import short_path
from clary.cli.trial_table import duration
from clary.formats.workflow_record import (
    SPLIT_WORDS,
    STAGES,
    Deployed,
    Found,
    Predicted,
    Reported,
    StageName,
    Trained,
    WorkflowRecord,
)
from clary.sdk.workflow.plan import WorkflowPlan
from clary.sdk.workflow.serving import address_on_this_machine
from clary.sdk.workflow.stage import PICTURES_FOLDER, SCRIPT_FILE
from clary.settings import Settings

_MARGIN = 10
_MOST_WIDTH = 100


def print_end(
    console: Console,
    plan: WorkflowPlan,
    record: WorkflowRecord,
    settings: Settings,
    *,
    seconds: float,
    kept: bool,
) -> None:
    """Say what a run has come to.

    Args:
        console: to print on.
        plan: what was wanted.
        record: what was found.
        settings: whose home keeps the run.
        seconds: how long it took.
        kept: whether all of it was done before.
    """
    found = {
        stage.stage: stage.found
        for stage in record.stages
        if plan.includes(stage.stage) and stage.status == "done"
    }
    folder = settings.runs_dir / plan.name
    predicted = found.get("predict")
    if isinstance(predicted, Predicted) and predicted.pictures:
        console.print()
        console.print(
            picture_table(
                SPLIT_WORDS[predicted.split],
                (
                    (
                        one.file,
                        one.label,
                        one.answer,
                        one.probability,
                        one.boto3_answer,
                        one.boto3_probability,
                    )
                    for one in predicted.pictures
                ),
            )
        )
    console.print()
    for name, text in _lines(found, folder, settings):
        console.print(Text(f"{name:<{_MARGIN}}{text}"), soft_wrap=True)
    trained = found.get("train")
    if isinstance(trained, Trained) and trained.time:
        _print_wrapped(console, "time", trained.time)
    if kept:
        console.print(f"{plan.name} is as it was: every stage is kept", soft_wrap=True)
    else:
        console.print(f"{plan.name} is done in {duration(seconds)}", soft_wrap=True)
    rest = STAGES[STAGES.index(plan.until) + 1 :]
    if rest:
        console.print(f"Without --until, {_listed(rest)} would follow", soft_wrap=True)


def _lines(
    found: dict[StageName, Found | None], folder: Path, settings: Settings
) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    trained, reported, deployed = found.get("train"), found.get("report"), found.get("deploy")
    if isinstance(reported, Reported):
        lines.append(("report", short_path(Path(reported.page))))
        if reported.tuning_page is not None:
            lines.append(("tuning", short_path(Path(reported.tuning_page))))
    if isinstance(trained, Trained):
        lines.append(("see", f"clary debug {trained.job}"))
        lines.append(("", f"clary profile {trained.job}"))
    if isinstance(deployed, Deployed):
        address = address_on_this_machine(settings, deployed.endpoint)
        if address is not None:
            lines.append(("endpoint", address))
        lines += _to_copy(deployed.endpoint, found.get("predict"), folder)
    return lines


def _to_copy(endpoint: str, predicted: Found | None, folder: Path) -> list[tuple[str, str]]:
    pictures, picture = "PICTURE…", "PICTURE"
    if isinstance(predicted, Predicted) and predicted.pictures:
        pictures = _quoted(folder / PICTURES_FOLDER)
        picture = _quoted(folder / PICTURES_FOLDER / predicted.pictures[0].file)
    script = _quoted(folder / SCRIPT_FILE)
    return [
        ("predict", f"clary predict {endpoint} {pictures}"),
        ("boto3", f"clary exec -- {_python()} {script} {endpoint} {picture}"),
        ("delete", f"clary endpoints delete {endpoint}"),
    ]


def _python() -> str:
    """The interpreter that has boto3: by its mere name where a shell finds it by that."""
    found, own = shutil.which("python"), Path(sys.executable)
    return "python" if found is not None and Path(found).parent == own.parent else _quoted(own)


def _quoted(path: Path) -> str:
    """For a shell, which takes a ~ only where it is not quoted."""
    short = short_path(path)
    quoted = shlex.quote(short.removeprefix("~/"))
    return f"~/{quoted}" if short.startswith("~/") else shlex.quote(short)


def _print_wrapped(console: Console, name: str, text: str) -> None:
    lines = textwrap.wrap(
        text,
        min(console.width, _MOST_WIDTH),
        initial_indent=f"{name:<{_MARGIN}}",
        subsequent_indent=" " * _MARGIN,
        break_on_hyphens=False,
    )
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
