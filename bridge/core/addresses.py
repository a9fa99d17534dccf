"""Which hosts are not on the open internet: one rule for checking a URL and for connecting."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final

_LOCAL: Final = (".localhost", ".local", ".internal")


def is_private(host: str) -> bool:
    """Return whether a host (an IP address or a name) is private, by what it looks like.

    An IPv4 address written as IPv6 counts as IPv4. A name is not looked up: its addresses are
    judged by the same rule when the bridge connects.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(_LOCAL)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_multicast or not address.is_global
