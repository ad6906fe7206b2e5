"""`%load_ext clary`: the running kernel's AWS becomes this machine, `%unload_ext` gives it back."""

from __future__ import annotations

import os
import sys
from typing import Any

from clary.formats.client_environment import SHIMS
from clary.sdk.environment import Changes, give_back_aws, take_aws
from clary.sdk.office import ensure_running
from clary.settings import Settings
from clary.shims.sitecustomize import redirect

_SHIMS = str(SHIMS)


def load_extension() -> None:
    """Change this process's environment and its AWS libraries, those loaded already too.

    Raises:
        ServiceError: the service cannot be started.
    """
    settings = Settings.from_environment()
    record = ensure_running(settings, say=print)
    _apply(take_aws(settings, record, os.environ))
    redirect()
    if _SHIMS not in sys.path:
        sys.path.insert(0, _SHIMS)  # `smdebug` is Clary's, as in jobs
    print(f"AWS is Clary on {record.url} now; make clients and sessions anew")


def unload_extension() -> None:
    """Give AWS back; clients and modules got meanwhile still belong to Clary."""
    _apply(give_back_aws(os.environ))
    if _SHIMS in sys.path:
        sys.path.remove(_SHIMS)


def _apply(changes: Changes) -> None:
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    boto3: Any = sys.modules.get("boto3")
    if boto3 is not None:
        boto3.DEFAULT_SESSION = None  # it would keep the keys that it has found
