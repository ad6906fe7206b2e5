"""Where a training's time went, in the two lines that it ends with."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from clary.sdk.profile_verdict import where_time_went
from clary.sdk.rule_evaluations import RuleEvaluation

_MARGIN = 10
_MOST_WIDTH = 100


def say_where_time_went(console: Console, rules: Sequence[RuleEvaluation], job: str) -> None:
    """What a training ends with, in a few lines; nothing where it was not profiled.

    Args:
        console: to print on.
        rules: those that judge where the time goes.
        job: its name.
    """
    said = where_time_went(rules)
    if said is None:
        return
    lines = textwrap.wrap(
        said,
        min(console.width, _MOST_WIDTH),
        initial_indent=f"{'time':<{_MARGIN}}",
        subsequent_indent=" " * _MARGIN,
        break_on_hyphens=False,
    )
    for line in (*lines, f"see       clary profile {job}"):
        console.print(Text(line), soft_wrap=True)
