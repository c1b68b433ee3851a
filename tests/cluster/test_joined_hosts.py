"""A cluster of two hosts as Ubuntu sets them up: joined in every way, and trained on together."""

from __future__ import annotations

import re
import secrets
import time
from pathlib import Path

import pytest
from bed import Plan
from ray_hosts import RAY, MakeHosts, RayHosts

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
TWO_WORKERS = """
name: two
dataset: digits
model: convnet
augment: [erm]
seed: [0]
train: {epochs: 2, batch_size_per_worker: 64}
resources: {workers: 2}
tracking: {models: none}
"""
FIRST_EPOCH_S = 60.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "two.yaml"
    path.write_text(TWO_WORKERS)
    return path


def assert_joined(hosts: RayHosts, file: Path, **variables: str) -> str:
    answer = hosts.zetasweep("one", "plan", file, "--nodes", "-o", f"storage={file.parent / 'runs'}", **variables)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "2 of 2 nodes with room can train" in answer.stdout
    assert "1 CPU / 0 GPUs, 1 CPU / 0 GPUs" in answer.stdout
    return answer.stdout


def test_without_a_token_in_every_way(make_hosts: MakeHosts, file: Path) -> None:
    # 127.0.1.1 is what the names of both mean, and their interfaces have other names.
    with make_hosts(one=Plan(), two=Plan(interface="ens3")) as hosts:
        hosts.start("one")
        hosts.start("two")
        for variables in ({}, *({"RAY_ADDRESS": at} for at in (hosts.address, "auto", "ray://10.77.0.1:10001"))):
            said = assert_joined(hosts, file, **variables)
            assert "the cluster asks for no token: whoever reaches it can run code in it" in said
            assert ("RAY_ADDRESS is not set, and a Ray that you have started" in said) is (not variables)
        # A token for other clusters does no harm.
        assert "asks for no token" in assert_joined(hosts, file, RAY_AUTH_TOKEN=secrets.token_hex(32))
        # Two hosts train one cell.
        run = hosts.begin("one", "run", file, "-o", f"storage={file.parent / 'runs'}")
        run.until_says("starting the workers")
        began_at = time.monotonic()
        run.until_says("validation error")
        took_s = time.monotonic() - began_at
        assert run.wait() == 0, run.output
        assert "[1/1 cells" in run.output
        print(f"first epoch of two hosts after {took_s:.0f} s")  # noqa: T201 - with -s
        assert took_s < FIRST_EPOCH_S


def test_with_a_token(make_hosts: MakeHosts, file: Path) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with make_hosts(one=Plan(), two=Plan(interface="ens3")) as hosts:
        for name in ("one", "two"):
            hosts.start(name, **token)
        for at in (hosts.address, "auto", "ray://10.77.0.1:10001"):
            said = assert_joined(hosts, file, RAY_ADDRESS=at, RAY_AUTH_TOKEN=token["RAY_AUTH_TOKEN"])
            assert "asks for no token" not in said
        refused = {
            "it asks for a token, and there is none here": {},
            "does not take the one that is here": {"RAY_AUTH_TOKEN": secrets.token_hex(32)},
            "RAY_AUTH_MODE = disabled has it not be sent": {**token, "RAY_AUTH_MODE": "disabled"},
        }
        for said, variables in refused.items():
            answer = hosts.zetasweep("one", "plan", file, RAY_ADDRESS=hosts.address, **variables)
            assert answer.returncode == 2
            assert said in answer.stderr


def test_from_a_machine_that_is_none_of_its_nodes(make_hosts: MakeHosts, file: Path) -> None:
    with make_hosts(one=Plan(), two=Plan()) as hosts:
        hosts.start("one", "--ray-client-server-port", "10001")
        for at in (hosts.address, "ray://10.77.0.1:10001"):
            answer = hosts.zetasweep("two", "plan", file, RAY_ADDRESS=at)
            assert answer.returncode == 2
            assert f"RAY_ADDRESS = {at}: the cluster cannot be joined: this machine is none of its" in answer.stderr
            assert "ray start --address=10.77.0.1:6379" in answer.stderr


def test_inside_a_symmetric_run(make_hosts: MakeHosts, file: Path) -> None:
    with make_hosts(one=Plan(), two=Plan()) as hosts:
        symmetric = [*RAY, "symmetric-run", "--address", hosts.address, "--min-nodes", "2", "--num-cpus", "1", "--"]
        call = [*symmetric, *hosts._call(["plan", file, "--nodes"])]
        second = hosts.hosts["two"].popen(call, hosts._environment({}), log=file.parent / "second.log")
        first = hosts.hosts["one"].run(call, hosts._environment({}))
        assert first.returncode == 0, first.stdout + first.stderr
        assert "2 of 2 nodes with room can train" in first.stdout
        assert re.search("RAY_ADDRESS is not set, .* runs on this machine: it is joined", first.stdout)
        second.kill()
