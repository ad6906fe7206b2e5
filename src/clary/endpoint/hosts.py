"""Who asks, and whom, where only this machine is served: what keeps web pages out.

A browser takes an answer from 127.0.0.1 for one of a web page's own server when the page's name
leads there (DNS rebinding). Nothing but that name, in Host, then tells such a request from others.
And any page may send a form here, whose answer it does not see: its name is in Origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from clary.loopback import is_loopback

# What containers call the machine that they run on; no resolver leads elsewhere by these names.
_OF_CONTAINERS = frozenset({"host.docker.internal", "host.containers.internal"})
_NAMES = "it serves this machine alone, as 127.0.0.1 or localhost; a proxy has to send one as Host"
_SHOWN = 200


def why_not_local(headers: Mapping[str, str]) -> tuple[int, str] | None:
    """The status and the sentence for a request that is none of this machine; None for others.

    Args:
        headers: by their names in lower case.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    # Without Host it is no browser's.
    if host and not names_this_machine(host):
        return 421, f"{host[:_SHOWN]!r} is no name of this server: {_NAMES}"
    if origin is not None and not names_this_machine(origin.partition("://")[2]):
        return (
            403,
            f"a page of {origin[:_SHOWN]!r} asks nothing here: only those of this machine do",
        )
    return None


@lru_cache(maxsize=256)
def names_this_machine(host: str) -> bool:
    """Whether a name is this machine's for itself.

    Args:
        host: a name or an address, with or without a port.
    """
    name = host.strip().lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    else:
        name = name.partition(":")[0].removesuffix(".")
    return name in _OF_CONTAINERS or is_loopback(name)
