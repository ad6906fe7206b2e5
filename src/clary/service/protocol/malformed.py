"""What the readers raise when a request cannot be read by its operation's model."""

from __future__ import annotations


class Malformed(Exception):
    """A value of the wrong kind. `argument` names the header or query parameter it came in."""

    def __init__(self, message: str, argument: str | None = None) -> None:
        super().__init__(message)
        self.argument = argument
