"""What a server asks of whatever answers its invocations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from clary.endpoint.invocation import Invocation, Reply


@dataclass(frozen=True)
class Health:
    """Whether invocations are answered, and where not, why.

    `ready` only once a model has really answered, and while one does. `passing` where it is not
    ready for a moment only: invocations are taken, and wait.
    """

    ready: bool
    reason: str = ""
    passing: bool = False


class Backend(Protocol):
    """Answers invocations.

    Owned by the server, which calls every method on its event loop and nowhere else. What takes
    long is done on threads or in processes of the backend's own.
    """

    @property
    def capacity(self) -> int:
        """How many invocations it works on at once; more of them wait."""

    @property
    def health(self) -> Health:
        """How it is."""

    async def start(self) -> None:
        """Load what there is to load, and answer once for a try.

        Raises:
            ClaryError: it will never answer; the sentence says why.
        """

    async def answer(self, invocation: Invocation) -> Reply:
        """Answer an invocation, waiting for a turn. Cancelled when its client has left.

        Raises:
            Refusal: it is answered with an error: the request, or the model, is to blame.
        """

    async def close(self) -> None:
        """Answer what was accepted, then let go of everything."""
