"""Why a job failed, as its FailureReason says: whose fault it was, then one sentence."""

from __future__ import annotations

import errno
import logging

from clary.errors import ClaryError, StorageError

logger = logging.getLogger(__name__)

# Whose fault it was, as FailureReasons on AWS begin.
_BLAMED = ("ClientError:", "AlgorithmError:", "InternalServerError:")

# What the system says when the machine has no more of something, or is broken.
_LACKS = {
    errno.EAGAIN,
    errno.EDQUOT,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOSPC,
}


def failure_reason(error: BaseException, job: str) -> str:
    """The FailureReason of a job that fails with an error.

    Args:
        error: what was raised; a bug of Clary's is told in the service's log, too.
        job: whose, such as `Training job name`.
    """
    if isinstance(error, ClaryError):
        text = str(error)
        if text.startswith(_BLAMED):
            return text
        return f"{'InternalServerError' if _is_machine_s(error) else 'ClientError'}: {text}"
    logger.error("%s fails on a bug of Clary's", job, exc_info=error)
    return f"InternalServerError: {type(error).__name__}: {error}. `clary logs` shows where."


def may_pass(error: Exception) -> bool:
    """Whether the machine failed, as when no file can be opened, rather than what was read."""
    return isinstance(error, OSError | StorageError) or isinstance(error.__cause__, OSError)


def _is_machine_s(error: BaseException) -> bool:
    """Whether the machine lacked something, rather than that the request asked for what is not.

    A folder of the request's that is missing or not to be written is a StorageError, too.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return cause.errno in _LACKS
        cause = cause.__cause__
    return isinstance(error, StorageError)
