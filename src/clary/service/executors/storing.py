"""What is stored of watched jobs at their ends; where that fails, the job is no worse for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from clary import clock
from clary.errors import ClaryError
from clary.formats.launch import FIRST_HOST, host_log
from clary.formats.log_file import encode_events
from clary.service.executors.executor import TrainingJobSpec

logger = logging.getLogger(__name__)


def store_at_end(job: TrainingJobSpec, store: Callable[[TrainingJobSpec], None], what: str) -> None:
    """Do a part of the storing; where it fails, however it does, the job's log says so.

    Args:
        job: one that has ended: its log has no other writer any more.
        store: what is to be done.
        what: what is stored, such as `what the debugger saw`.
    """
    try:
        store(job)
    except Exception as error:
        expected = isinstance(error, (ClaryError, OSError))
        reason = str(error) if expected else f"{type(error).__name__}: {error}"
        said = f"clary: {what} is not all in S3: {reason}"
        logger.warning("%s: %s", job.name, said, exc_info=None if expected else error)
        log = host_log(job.directory.root, FIRST_HOST)
        with suppress(OSError), log.open("ab") as file:
            file.write(encode_events([(clock.now_ms(), said)]))
