"""The page that `clary` and `clary --help` show. Loads neither the parser nor any command."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from clary import __version__
from clary.cli.verbs import VERBS


def print_welcome() -> None:
    """Say what this is, the first command to type, and the verbs."""
    width = max(len(verb.name) for verb in VERBS)
    lines = [
        f"[bold]Clary {__version__}[/] · from a folder of pictures to a classifier you can trust",
        "",
        "[bold]Start here[/]",
        "  [green]clary run photos/[/]       it all: from pictures to an endpoint that answers",
        "  [green]clary run digits[/]        no pictures at hand? 1,797 real handwritten digits",
        "  [green]clary train photos/[/]     photos/ holds one folder of pictures per class",
        "",
        "[bold]Commands[/]",
        *(f"  [cyan]{verb.name:<{width}}[/]   {escape(verb.help)}" for verb in VERBS),
        "",
        "[cyan]clary train --help[/] lists the options of a command, [cyan]clary --version[/] the "
        "version.",
        "Jobs, caches and downloads live in ~/.clary; CLARY_HOME names another place.",
    ]
    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(line)
