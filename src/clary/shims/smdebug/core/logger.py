"""The log of this package: `SMDEBUG_LOG_LEVEL` sets its level, INFO by default."""

from __future__ import annotations

import logging
import os

_NAME = "smdebug"


def get_logger(name: str = _NAME) -> logging.Logger:
    """The logger that everything here writes to."""
    logger = logging.getLogger(name)
    if logger.level == logging.NOTSET:
        wanted = logging.getLevelName(os.environ.get("SMDEBUG_LOG_LEVEL", "INFO").upper())
        logger.setLevel(wanted if isinstance(wanted, int) else logging.INFO)
    return logger
