"""The log of this package, on stderr: `SMDEBUG_LOG_LEVEL` sets its level, INFO by default."""

from __future__ import annotations

import logging
import os

_NAME = "smdebug"


def get_logger(name: str = _NAME) -> logging.Logger:
    """The logger that everything here writes to, rules of people's own too."""
    logger = logging.getLogger(name)
    if logger.level == logging.NOTSET:
        wanted = logging.getLevelName(os.environ.get("SMDEBUG_LOG_LEVEL", "INFO").upper())
        logger.setLevel(wanted if isinstance(wanted, int) else logging.INFO)
    if not logger.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("[%(asctime)s smdebug %(levelname)s] %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    return logger
