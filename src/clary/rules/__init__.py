"""Rules: pure functions from a window of history to findings, and the runner that calls them."""

from __future__ import annotations

from clary.rules.rule import Parameters, Rule
from clary.rules.window import Window

__all__ = ["Parameters", "Rule", "Window"]
