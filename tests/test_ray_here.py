"""A Ray that the user has started on this machine is joined where none is named; nobody else's is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from listening import listening

from orchestrator import environment
from orchestrator.environment import prepare_program, ray_address, ray_address_is_found
from orchestrator.ray_here import RunningRay, running_ray

# What a server of gRPC says first.
SETTINGS = bytes([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 64, 0])


@pytest.fixture
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file where ``ray start`` notes the address; nothing was found or said in this process before."""
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_TMPDIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(environment, "_found", None)
    monkeypatch.setattr(environment, "_starts_its_own", False)
    (tmp_path / "ray").mkdir()
    return tmp_path / "ray" / "ray_current_cluster"


def test_it_is_joined_unless_another_is_named(noted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(SETTINGS) as address:
        noted.write_text(address)
        prepare_program()
        assert (ray_address(), ray_address_is_found()) == (address, True)
        prepare_program()
        assert (ray_address(), ray_address_is_found()) == (address, True)
        monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
        prepare_program()
        assert (ray_address(), ray_address_is_found()) == ("10.0.0.1:6379", False)
    # It has ended: the next sweep of this process starts its own.
    monkeypatch.setenv("RAY_ADDRESS", address)
    prepare_program()
    assert (ray_address(), ray_address_is_found()) == (address, False)
    monkeypatch.setattr(environment, "_found", address)
    prepare_program()
    assert ray_address() is None


def test_who_wants_none_gets_none(noted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(SETTINGS) as address:
        noted.write_text(address)
        monkeypatch.setenv("RAY_ADDRESS", "local")
        prepare_program()
        assert ray_address() is None
        # Ray's own processes do not know the word, so that it is taken away; what it said stands.
        prepare_program()
        assert ray_address() is None


@pytest.mark.parametrize("text", ["", "nonsense", "127.0.0.1:1", "10.0.0.1", "[::1]:1"])
def test_one_that_has_ended_is_none(text: str, noted: Path) -> None:
    noted.write_text(text)
    assert running_ray() is None
    prepare_program()
    assert ray_address() is None


def test_something_else_at_its_port_is_none(noted: Path) -> None:
    with listening(b"SSH-2.0-x\r\n") as address:
        noted.write_text(address)
        assert running_ray() is None


@pytest.mark.parametrize("how", ["another user", "a link"])
def test_what_others_have_started_is_not_joined(how: str, noted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(SETTINGS) as address:
        if how == "a link":
            (noted.parent / "theirs").write_text(address)
            noted.symlink_to(noted.parent / "theirs")
        else:
            noted.write_text(address)
            uid = os.getuid() + 1
            monkeypatch.setattr(os, "getuid", lambda: uid)
        assert running_ray() == RunningRay(address, is_ours=False)
        prepare_program()
        assert ray_address() is None
