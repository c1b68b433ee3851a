"""A cluster that cannot be joined: each cause with its own remedy, at once."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
import pytest
from commands import ROOT, until
from listening import listening
from surroundings import answer

from orchestrator.errors import UserError
from orchestrator.sweep import joining
from orchestrator.sweep.joining import check_address, join, not_joined

# What a server of gRPC says first.
SETTINGS = bytes([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 64, 0])


def refusal(address: str) -> str:
    with pytest.raises(UserError) as refused:
        check_address(address)
    assert str(refused.value).startswith(f"RAY_ADDRESS = {address}: the cluster cannot be joined: ")
    assert "or set RAY_ADDRESS=local to run on this machine" in refused.value.remedy
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

    monkeypatch.setattr(joining, "_direct", wait)
    with pytest.raises(UserError) as raised:
        joining.join("10.0.0.1:6379")
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
        ("Could not find any running Ray instance.", "start one on this machine, ray start --head"),
        ("No node info found matching attributes: ''", "the Ray on this machine is another cluster's"),
        ("Version mismatch: The cluster was started with:\n    Ray: 1", "the same Ray and Python"),
        ("This node has an IP address of 1.2.3.4\nTo fix this, either:\n1. do this", "ray status"),
    ],
)
def test_all_of_what_ray_says_is_shown(said: str, remedy: str) -> None:
    # Ray's own first words are few.
    error = ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379")
    error.__cause__ = RuntimeError(said)
    for raised in (RuntimeError(said), error):
        refused = not_joined("10.0.0.1:6379", raised)
        assert said in str(refused)
        assert remedy in refused.remedy


@pytest.mark.parametrize(
    ("address", "said", "remedy"),
    [
        ("http://head:8265", "how jobs are submitted", "RAY_ADDRESS=head:6379"),
        ("http://head:8265", "how jobs are submitted", "zetasweep submit EXPERIMENT --address http://head:8265"),
        ("https://me:secret@head/ray", "how jobs are submitted", "RAY_ADDRESS=head:6379"),
        ("head", "no address", "HOST:PORT"),
        ("10.0.0.1:", "no address", "auto for the one on this machine"),
        ("ray://", "no address", "ray://HOST:PORT"),
        ("ray://head", "no address", "ray://HOST:PORT"),
    ],
)
def test_an_address_of_another_kind(address: str, said: str, remedy: str) -> None:
    with pytest.raises(UserError) as refused:
        join(address)
    assert str(refused.value).startswith(f"RAY_ADDRESS = {address}: the cluster cannot be joined: ")
    assert said in str(refused.value)
    assert remedy in refused.value.remedy


@contextmanager
def head(token: str | None) -> Iterator[str]:
    """Have the server of a head that answers those alone that have a token, or all."""
    method = "/ray.rpc.NodeInfoGcsService/CheckAlive"

    def check_alive(_: bytes, context: grpc.ServicerContext) -> bytes:
        given = dict(context.invocation_metadata()).get("authorization")
        if token is not None and given != f"Bearer {token}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
        return b""

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
            return grpc.unary_unary_rpc_method_handler(check_alive) if details.method == method else None

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.mark.parametrize(
    ("asks", "mode", "has", "said", "remedy"),
    [
        (
            "the token",
            None,
            None,
            "it asks for a token, and there is none here",
            "into ~/.ray/auth_token or RAY_AUTH_TOKEN",
        ),
        ("the token", "disabled", "the token", "RAY_AUTH_MODE = disabled has it not be sent", "unset RAY_AUTH_MODE"),
        ("the token", "token", None, "RAY_AUTH_MODE = token, and there is none here", "put the cluster's token into"),
        ("the token", "token", "another", "does not take the one that is here", "put the cluster's token into"),
        ("the token", "token", "the token", None, None),
        ("the token", "k8s", None, None, None),
        (None, "token", None, "RAY_AUTH_MODE = token, and there is none here", "unset RAY_AUTH_MODE: it asks for none"),
        (None, "token", "another", None, None),
        (None, None, None, None, None),
    ],
)
def test_a_token_is_looked_at_before_ray_ends_the_process(
    asks: str | None,
    mode: str | None,
    has: str | None,
    said: str | None,
    remedy: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name, value in (("RAY_AUTH_MODE", mode), ("RAY_AUTH_TOKEN", has), ("RAY_AUTH_TOKEN_PATH", None)):
        monkeypatch.setenv(name, value or "")
        if value is None:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(joining, "_is_loopback", lambda _: False)
    monkeypatch.setattr(joining, "_check_node", lambda *_: None)
    with head(asks) as address:
        if said is None:
            assert joining._checked(address, address) is (asks is not None)
            return
        with pytest.raises(UserError) as refused:
            joining._checked(address, address)
    assert said in str(refused.value)
    assert str(remedy) in refused.value.remedy


def test_of_a_cluster_that_does_not_say_so_nobody_says_that_it_asks_for_no_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One behind TLS is not asked."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_USE_TLS", "1")
    needed = joining.token_is_needed("10.0.0.1:6379")
    assert needed is None
    with pytest.raises(UserError) as refused:
        joining._check_token("10.0.0.1:6379", "10.0.0.1:6379", needed=needed)
    assert refused.value.remedy.startswith(joining.TOKEN_REMEDY)
    assert "it asks for none" not in refused.value.remedy.replace("if it asks for none", "")


def test_a_machine_that_is_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "process_iter", lambda _: [])
    with pytest.raises(UserError) as refused:
        joining._check_node("ray://head:10001", "10.0.0.1:6379")
    assert "this machine is none of its nodes" in str(refused.value)
    assert "ray start --address=10.0.0.1:6379" in refused.value.remedy
    assert "zetasweep submit EXPERIMENT --address http://" in refused.value.remedy
