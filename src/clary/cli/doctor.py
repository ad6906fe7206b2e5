"""`clary doctor`."""

from __future__ import annotations

import json as json_text
import platform
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clary import __version__
from clary.cli.parser import Switch
from clary.sdk.doctor.examination import NOTHING_TO_DO, Examination, examine
from clary.sdk.doctor.observation import Level, Observation

FORMAT = 1
_STYLES: dict[Level, str] = {
    "ok": "green",
    "note": "cyan",
    "warning": "yellow",
    "fault": "bold red",
}


def doctor(*, json: Switch = False) -> int:
    """Say what this machine offers, what that means, and the one thing most worth doing.

    Ends with exit code 1 only when something prevents work. Nothing is changed or started.

    Args:
        json: Print it as JSON, for programs.
    """
    found = examine()
    if json:
        print(json_text.dumps(_as_json(found), indent=2, ensure_ascii=False))
    else:
        _print(found)
    return 0 if found.works else 1


def _as_json(found: Examination) -> dict[str, object]:
    return {
        "format": FORMAT,
        "version": __version__,
        "works": found.works,
        "advice": None if found.advice is None else found.advice.remedy,
        "observations": [asdict(one) for one in found.observations],
    }


def _print(found: Examination) -> None:
    console = Console(highlight=False)
    console.print(f"Clary {__version__} on {platform.system()} {platform.release()}", style="bold")
    if console.is_terminal:
        table = Table.grid(padding=(0, 2, 0, 0))
        for column in ("level", "name"):
            table.add_column(column, no_wrap=True)
        table.add_column("found", overflow="fold")
        for one in found.observations:
            table.add_row(Text(one.level, _STYLES[one.level]), one.name, _sentence(one))
        console.print(table)
    else:
        for one in found.observations:
            print(f"{one.level:<7}  {one.name:<16}  {_sentence(one)}")
    advice = found.advice
    words = NOTHING_TO_DO if advice is None else f"{advice.name}: {advice.remedy}"
    console.print(Text.assemble(("Most worth doing: ", "bold"), words), soft_wrap=True)


def _sentence(one: Observation) -> Text:
    """What was found, what it means, and what to do about it."""
    text = Text.assemble(one.found, (": ", "dim"), (one.meaning, "dim"))
    if one.remedy is not None and one.level != "ok":
        text.append(f" ({one.remedy})", "italic")
    return text
