"""Words for true and false, as scripts parse them from their command line."""

from __future__ import annotations

from clary.debugger.parameters import flag
from clary.errors import UsageError


def str2bool(v: str | bool) -> bool:
    """A truth value: `y yes t true on 1`, or `n no f false off 0`.

    Raises:
        ValueError: it is none.
    """
    shortened = {"y": "yes", "t": "true", "n": "no", "f": "false"}
    try:
        return flag("the value", shortened.get(str(v).strip().lower(), v))
    except UsageError as error:
        raise ValueError(str(error)) from error
