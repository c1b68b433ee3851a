"""By which interface the nodes of a cluster reach each other."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import psutil
import pytest

from orchestrator.environment import set_for
from orchestrator.sweep.interface import interface_with


def test_loopback_is_found() -> None:
    assert interface_with("127.0.0.1") in ("lo", "lo0")


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("10.77.0.2", "ens3"),
        ("192.168.1.7", "wlan0"),
        ("fd00::2", "ens3"),
        ("fd00:0:0:0::2", "ens3"),
        # Of a link, whose interface is part of what psutil says.
        ("fe80::1", "wlan0"),
        ("203.0.113.9", None),
    ],
)
def test_the_one_that_has_the_address(address: str, found: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(family: int, address: str) -> SimpleNamespace:
        return SimpleNamespace(family=family, address=address)

    link = held(psutil.AF_LINK, "02:42:ac:11:00:02")
    monkeypatch.setattr(
        psutil,
        "net_if_addrs",
        lambda: {
            "lo": [held(socket.AF_INET, "127.0.0.1"), held(socket.AF_INET6, "::1")],
            "docker0": [link, held(socket.AF_INET, "172.17.0.1")],
            "ens3": [link, held(socket.AF_INET, "10.77.0.2"), held(socket.AF_INET6, "fd00::2")],
            "wlan0": [held(socket.AF_INET, "192.168.1.7"), held(socket.AF_INET6, "fe80::1%wlan0")],
        },
    )
    assert interface_with(address) == found


def test_gloo_and_nccl_are_told_unless_the_user_has_told_them(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
    for name in names:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    set_for("group", interface="ens3")
    import os

    assert [os.environ[name] for name in names] == ["ens3", "=ens3"]
    set_for("group", interface="eth0")
    assert [os.environ[name] for name in names] == ["ens3", "=ens3"]
