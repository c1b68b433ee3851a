"""The network interface of a node by which the others reach it."""

from __future__ import annotations

import ipaddress
import socket

import psutil


def interface_with(address: str) -> str | None:
    """Return the name of this host's interface that has an address of IPv4 or IPv6; None if none has it."""
    wanted = ipaddress.ip_address(address)
    for name, held in psutil.net_if_addrs().items():
        for entry in held:
            if entry.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            # That of a link says at which interface it is one: fe80::1%eth0.
            if ipaddress.ip_address(entry.address.partition("%")[0]) == wanted:
                return str(name)
    return None
