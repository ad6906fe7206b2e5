"""How a job stands, as long as its machine can be looked at."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from clary.service.executors.executor import Gone, Observation
from clary.service.supervisor.reasons import failure_reason, may_pass

logger = logging.getLogger(__name__)


class Look:
    """Looks at one job again and again; what fails is forgiven for a while.

    Owned by the job's conductor, whose thread alone calls it.
    """

    def __init__(self, title: str, *, kill: Callable[[], None], unseen_s: float) -> None:
        """Nothing has been seen yet.

        Args:
            title: the job, as a sentence begins with it, such as `Training job photos-1`.
            kill: ends the job's processes, which nobody could judge any more.
            unseen_s: how long it may not be seen, where that may pass.
        """
        self._title = title
        self._kill = kill
        self._unseen_s = unseen_s
        self._unseen_since: float | None = None

    def at(self, ask: Callable[[], Observation]) -> Observation | None:
        """What there is to see; None when it cannot be known now."""
        try:
            observation = ask()
        except Exception as error:  # noqa: BLE001 - the job fails with it, unless it passes
            now = time.monotonic()
            if self._unseen_since is None:
                self._unseen_since = now
                if may_pass(error):
                    logger.warning("%s cannot be looked at now: %s", self._title, error)
            if may_pass(error) and now - self._unseen_since < self._unseen_s:
                return None
            self._kill()
            return Gone(failure_reason(error, self._title))
        self._unseen_since = None
        return observation
