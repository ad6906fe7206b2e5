"""Write docs/images/run.svg, what a terminal shows of `clary run digits`: about a minute.

    python docs/write_run_picture.py

It runs the command in a home of its own, which is removed afterwards.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
from pathlib import Path

from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from clary.cli.run_end import print_end
from clary.cli.run_view import RunView
from clary.sdk import office
from clary.sdk.endpoint import Endpoint
from clary.sdk.session import Session
from clary.sdk.workflow.plan import WorkflowPlan
from clary.sdk.workflow.workflow import Workflow
from clary.settings import Settings

PICTURE = Path(__file__).parent / "images" / "run.svg"
COLUMNS = 106
# A picture in a page fetches nothing: the font is one that the reader's machine has.
FONT = re.compile(r"\s*@font-face \{\{.*?\n    \}\}", re.DOTALL)
# Red, green, yellow, blue, magenta and cyan: those that are called bright are the same.
COLOURS = [
    (224, 108, 117),
    (130, 190, 120),
    (229, 192, 123),
    (97, 175, 239),
    (198, 120, 221),
    (86, 182, 194),
]
THEME = TerminalTheme(
    (24, 26, 31),
    (214, 218, 225),
    [(40, 44, 52), *COLOURS, (171, 178, 191)],
    [(110, 118, 135), *COLOURS, (255, 255, 255)],
)


def main() -> None:
    """Run the command and draw what it shows."""
    with tempfile.TemporaryDirectory(prefix="clary-picture-") as folder:
        # Paths in the picture are those of a person's own home.
        os.environ |= {"HOME": folder, "CLARY_HOME": f"{folder}/.clary", "OMP_NUM_THREADS": "1"}
        settings = Settings.from_environment()
        console = Console(
            record=True, force_terminal=True, width=COLUMNS, file=io.StringIO(), highlight=False
        )
        console.print(Text.assemble(("$ ", "green"), ("clary run digits", "bold")))
        plan = WorkflowPlan.prepare("digits", {}, settings)
        # Without `with`, the view draws what stays, and nothing of what moves.
        view = RunView(console, plan)
        try:
            record = Workflow(plan, settings, view).run()
            view.draw()
            print_end(console, plan, record, settings, seconds=view.seconds, kept=False)
            Endpoint(Session.on_this_machine(settings), plan.name).delete()
        finally:
            office.stop(settings)
    template = FONT.sub("", CONSOLE_SVG_FORMAT)
    drawn = console.export_svg(
        title="clary run digits", theme=THEME, code_format=template, unique_id="run"
    )
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
