"""Which names and addresses lead nowhere but to the machine that uses them."""

from __future__ import annotations

import ipaddress

_LOCAL = "localhost"


def is_loopback(host: str) -> bool:
    """Whether a name or an address is a machine's own for itself.

    Args:
        host: without a port.
    """
    if host == _LOCAL or host.endswith(f".{_LOCAL}"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
