"""A cluster that cannot be joined: each cause with its own remedy, at once."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from commands import ROOT, until
from surroundings import answer

from orchestrator.errors import UserError
from orchestrator.experiment import Resources
from orchestrator.sweep import cluster
from orchestrator.sweep.joining import check_address, not_joined

# What a server of gRPC says first.
SETTINGS = bytes([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 64, 0])


@contextmanager
def listening(says: bytes, *, host: str = "127.0.0.1") -> Iterator[str]:
    """Have something listen, that answers what it is sent by `says` and hangs up."""
    with socket.create_server((host, 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(says)

        threading.Thread(target=serve, daemon=True).start()
        yield f"{host}:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def refusal(address: str) -> str:
    with pytest.raises(UserError) as refused:
        check_address(address)
    assert str(refused.value).startswith(f"RAY_ADDRESS = {address}: the cluster cannot be joined: ")
    assert "or unset RAY_ADDRESS to run on this machine" in refused.value.remedy
    return str(refused.value)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert "start the cluster, or mend the port" in refusal(f"127.0.0.1:{port}")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", f"{'l' * 64}.org", ".b", "a\udcff"])
def test_no_such_host(host: str) -> None:
    assert "mend the name of the host" in refusal(f"{host}:6379")


def test_waiting_for_an_answer_is_said(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    refused = UserError("nobody answers", remedy="none")

    def wait(_: str) -> None:
        until(lambda: bool(said))
        raise refused

    monkeypatch.setattr(cluster, "check_address", wait)
    with pytest.raises(UserError) as raised:
        cluster._join("10.0.0.1:6379", Resources())
    assert raised.value is refused
    assert said[0].startswith("waiting for the Ray cluster at 10.0.0.1:6379 to be joined")


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"SSH-2.0-x\r\n"])
def test_something_else_listens_there(says: bytes) -> None:
    with listening(says) as address:
        said = refusal(address)
    assert "no Ray cluster" in said
    assert "mend the port" in said


CHECKS = """
import os
from orchestrator.environment import prepare_program
prepare_program()
from orchestrator.errors import UserError
from orchestrator.sweep.joining import check_address
try:
    check_address(os.environ["RAY_ADDRESS"])
    print("it answers")
except UserError as error:
    print(error)
"""


def checked(address: str) -> str:
    """Check an address in a process of its own: in this one Ray was told to know loopback alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return answer([sys.executable, "-c", CHECKS], kept | {"RAY_ADDRESS": address, "PYTHONPATH": str(ROOT)})


def test_a_cluster_on_loopback_is_said_before_ray_waits_for_it() -> None:
    with listening(SETTINGS) as address:
        said = checked(address)
    assert "it listens on 127.0.0.1 alone" in said
    assert "ray start --head" in said


def test_a_cluster_that_answers_is_none_of_these() -> None:
    with listening(SETTINGS, host="0.0.0.0") as address:
        assert checked(address.replace("0.0.0.0", "127.0.0.1")) == "it answers\n"


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("AuthenticationError: Token authentication is enabled", "put the cluster's token into"),
        ("Version mismatch: The cluster was started with:\n    Ray: 1", "the same Ray and Python"),
        ("This node has an IP address of 1.2.3.4\nTo fix this, either:\n1. do this", "ray status"),
    ],
)
def test_all_of_what_ray_says_is_shown(said: str, remedy: str) -> None:
    refused = not_joined("10.0.0.1:6379", RuntimeError(said))
    assert said in str(refused)
    assert remedy in refused.remedy
